#pragma once

struct config;

/*
 * Runs until SIGTERM or SIGINT by a configuration, which it takes; `file` is where that stands, to be read anew, or NULL for the demo,
 * whose addresses are printed. Returns the exit status; what went wrong is in the log.
 */
int nvrd_run(const char *file, struct config *config);
