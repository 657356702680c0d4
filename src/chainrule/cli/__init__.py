"""The command line: arguments to calls of the api, results and errors to a terminal, a file or a pipe."""
