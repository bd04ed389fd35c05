"""One module per subcommand: parse, read, call the core, write, summarise."""
