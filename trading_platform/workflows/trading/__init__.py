"""From the ledger to the channel ``orders``."""
