"""What a window or a page shows of runs and forms, without any toolkit."""
