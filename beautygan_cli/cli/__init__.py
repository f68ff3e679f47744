"""The commands: arguments in, messages and exit statuses out. The work is done by the packages they call."""
