"""What can be said on the command line, by family of commands. Nothing heavy is imported here."""
