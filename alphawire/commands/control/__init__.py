"""Commands that change or show what runs: models, pause, resume, state, dead-letters."""
