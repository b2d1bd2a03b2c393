"""The ledger of trials, and how far a result is to be believed after so many."""
