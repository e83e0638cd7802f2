/* The file that keeps sessions: pure functions of its bytes. */
#include "server/base/login_file.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEAD "nvrd-sessions-1 "

enum {
	NUMBER_DIGITS = 12, /* of the latest time */
	LINE_BYTES =
		2 * (2 * LOGIN_HASH_BYTES + 1) + 2 * (NUMBER_DIGITS + 1) + LOGIN_FILE_USER_BYTES
};
static_assert(
	sizeof(HEAD) + NUMBER_DIGITS + 1 + LOGIN_FILE_SESSIONS * LINE_BYTES < LOGIN_FILE_BYTES,
	"all sessions have room");

static const char digits[] = "0123456789abcdef";

/* What is not read yet. After the first thing that is not as it should be p is NULL, and stays it. */
struct rest {
	const char *p, *end;
};

static void take_text(struct rest *rest, const char *text)
{
	size_t n = strlen(text);

	if (!rest->p)
		return;
	if ((size_t)(rest->end - rest->p) < n || memcmp(rest->p, text, n) != 0)
		rest->p = NULL;
	else
		rest->p += n;
}

/* How many bytes of `set` come next, at most `most`; where p is not NULL. */
static size_t span(const struct rest *rest, const char *set, size_t most)
{
	size_t n = 0;

	while (rest->p + n < rest->end && n < most && rest->p[n] && strchr(set, rest->p[n]))
		n++;
	return n;
}

static int64_t take_time(struct rest *rest)
{
	int64_t ret = 0;
	size_t n;

	if (!rest->p)
		return 0;
	n = span(rest, "0123456789", NUMBER_DIGITS);
	for (size_t i = 0; i < n; i++)
		ret = 10 * ret + (rest->p[i] - '0');
	if (n == 0 || (rest->p[0] == '0' && n > 1) || ret > LOGIN_FILE_LATEST_S)
		rest->p = NULL;
	else
		rest->p += n;
	return ret;
}

static void take_hash(struct rest *rest, unsigned char ret[LOGIN_HASH_BYTES])
{
	if (rest->p && span(rest, digits, 2 * LOGIN_HASH_BYTES) < 2 * LOGIN_HASH_BYTES)
		rest->p = NULL;
	if (!rest->p)
		return;
	for (size_t i = 0; i < LOGIN_HASH_BYTES; i++, rest->p += 2)
		ret[i] = (unsigned char)((strchr(digits, rest->p[0]) - digits) << 4 |
					 (strchr(digits, rest->p[1]) - digits));
}

/* Up to the line's end: as config_check_user_name() has it, more or less, since who is no user has no session. */
static void take_user(struct rest *rest, char ret[LOGIN_FILE_USER_BYTES])
{
	size_t n = 0;

	if (!rest->p)
		return;
	while (rest->p + n < rest->end && rest->p[n] >= ' ' && rest->p[n] <= '~')
		n++;
	if (n == 0 || n >= LOGIN_FILE_USER_BYTES) {
		rest->p = NULL;
		return;
	}
	memcpy(ret, rest->p, n);
	ret[n] = '\0';
	rest->p += n;
}

static void take_session(struct rest *rest, struct login_file_session *ret)
{
	take_hash(rest, ret->id);
	take_text(rest, " ");
	take_hash(rest, ret->seal);
	take_text(rest, " ");
	ret->begun_s = take_time(rest);
	take_text(rest, " ");
	ret->used_s = take_time(rest);
	take_text(rest, " ");
	take_user(rest, ret->user);
	take_text(rest, "\n");
}

int login_file_parse(struct login_file *ret, const char *p, size_t n, const char **why)
{
	struct rest rest = { p, p + n };

	ret->n = 0;
	take_text(&rest, HEAD);
	ret->written_s = take_time(&rest);
	take_text(&rest, "\n");
	if (!rest.p) {
		*why = "is no list of sessions";
		return -EBADMSG;
	}
	while (rest.p < rest.end) {
		struct login_file_session *session = &ret->sessions[ret->n];

		if (ret->n == LOGIN_FILE_SESSIONS) {
			*why = "has too many sessions";
			return -EBADMSG;
		}
		take_session(&rest, session);
		if (!rest.p || session->begun_s > session->used_s ||
			session->used_s > ret->written_s) {
			*why = "has a line that is no session";
			return -EBADMSG;
		}
		ret->n++;
	}
	return 0;
}

static char *write_hash(char *at, const unsigned char hash[LOGIN_HASH_BYTES])
{
	for (size_t i = 0; i < LOGIN_HASH_BYTES; i++) {
		*at++ = digits[hash[i] >> 4];
		*at++ = digits[hash[i] & 15];
	}
	*at++ = ' ';
	return at;
}

size_t login_file_write(char ret[LOGIN_FILE_BYTES], const struct login_file *file)
{
	char *at = ret, *end = ret + LOGIN_FILE_BYTES;

	at += snprintf(at, (size_t)(end - at), HEAD "%" PRId64 "\n", file->written_s);
	for (size_t i = 0; i < file->n; i++) {
		const struct login_file_session *session = &file->sessions[i];

		at = write_hash(at, session->id);
		at = write_hash(at, session->seal);
		at += snprintf(at, (size_t)(end - at), "%" PRId64 " %" PRId64 " %s\n",
			session->begun_s, session->used_s, session->user);
	}
	return (size_t)(at - ret);
}
