"""What happened: receipts of what was made, and files that lose nothing."""
