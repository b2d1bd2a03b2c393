"""The ledger of the execution contract: a small exact state, and the compiled step over one row of bars."""
