#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/*
 * Sessions of people (login_session.h) as a file keeps them, in lines:
 *
 *   nvrd-sessions-1 <when it was written>
 *   <id> <seal> <begun> <used> <user>
 *
 * Hashes are 64 lower-case hex digits, times are seconds since 1970 UTC. There is one way only to write each list, so that what
 * was read is written as the same bytes. Nothing of it is secret: see login_session.h.
 */

enum {
	LOGIN_FILE_SESSIONS = 256,
	LOGIN_FILE_BYTES = 65536, /* a file is shorter */
	LOGIN_FILE_USER_BYTES = 65,
	LOGIN_HASH_BYTES = 32
};
#define LOGIN_FILE_LATEST_S INT64_C(253402300799) /* the end of the year 9999 */

struct login_file {
	int64_t written_s; /* nothing in it is later */
	size_t n;
	struct login_file_session {
		unsigned char id[LOGIN_HASH_BYTES], seal[LOGIN_HASH_BYTES];
		int64_t begun_s, used_s; /* begun first */
		char user[LOGIN_FILE_USER_BYTES];
	} sessions[LOGIN_FILE_SESSIONS];
};

/* Parses a whole file. Returns 0, or -EBADMSG with a static reason in *why; *ret may be half filled then. */
int login_file_parse(struct login_file *ret, const char *p, size_t n, const char **why) MUST_CHECK;
/* Returns how many bytes. */
size_t login_file_write(char ret[LOGIN_FILE_BYTES], const struct login_file *file);
