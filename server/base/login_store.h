#pragma once

struct login_sessions;

/*
 * Keeps sessions of people (login_session.h) in a file, so that they outlive the process: LOGIN_STORE_FILE, mode 0600, in a
 * folder that may come and go. It is read once, as soon as there is a folder, and written whole by a worker: whenever a session has
 * begun or ended; when one was used that was not for an hour; and at the end. So a crash or a power cut costs the last hour
 * of who was there when, and otherwise what happened while the disk was at it. What cannot be read is replaced, and what cannot be
 * written is tried again with a later use, after a minute at the earliest; both are said once. Sessions go on in any case.
 */
struct login_store;

#define LOGIN_STORE_FILE "nvrd.sessions"

/* The folder, opened for the caller to close; or -errno while it is not there. Any thread. */
typedef int login_store_folder_fn(void *arg);

/* The sessions are not owned, and must live longer. */
struct login_store *login_store_new(
	struct login_sessions *sessions, login_store_folder_fn *folder, void *arg);
/* Reads the file, where there is a folder. Blocks: at the start, so that who was logged in is, from the first request on. */
void login_store_read(struct login_store *store);
/* Does what is to be done now, if anything: after each change and use. NULL is fine. */
void login_store_look(struct login_store *store);
/* The folder has come: what could not be done meanwhile is not to wait. NULL is fine. */
void login_store_come(struct login_store *store);
/* Writes what is not written. Blocks: at the end. NULL is fine. */
void login_store_free(struct login_store *store);
