/* One line of FTP: a verb, whatever its case, and an argument; among them what Telnet clients put there. */
#include "protocols/ftp_command.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "storage/tree_name.h"

/* Telnet (RFC 854). */
enum {
	TELNET_WILL = 251, /* the first of the four that have an option behind them */
	TELNET_IAC = 255
};

static const char *const verbs[] = {
#define X(id, word) [id] = (word),
	FTP_VERBS(X)
#undef X
};

/* RFC 775 and RFC 1123 section 4.1.3.1. */
static const struct {
	const char *word;
	enum ftp_verb verb;
} others[] = {
	{"XCUP",  FTP_CDUP},
	{ "XCWD", FTP_CWD },
	{ "XMKD", FTP_MKD },
	{ "XPWD", FTP_PWD },
	{ "XRMD", FTP_RMD },
};

const char *ftp_verb_word(enum ftp_verb verb)
{
	return verb == FTP_UNKNOWN ? "other" : verbs[verb];
}

static enum ftp_verb verb_find(const char *word)
{
	for (size_t i = 0; i < FTP_VERB_COUNT; i++) {
		if (!strcasecmp(word, verbs[i]))
			return (enum ftp_verb)i;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
		if (!strcasecmp(word, others[i].word))
			return others[i].verb;
	}
	return FTP_UNKNOWN;
}

/* Copies a line without what is Telnet's. Returns the bytes that are left of it. */
static size_t line_copy(char *ret, const char *p, size_t n)
{
	const unsigned char *bytes = (const unsigned char *)p;
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		if (bytes[i] != TELNET_IAC) {
			ret[used++] = p[i];
		} else if (i + 1 < n && bytes[i + 1] == TELNET_IAC) {
			ret[used++] = p[++i];
		} else {
			i += i + 1 < n && bytes[i + 1] >= TELNET_WILL ? 2 : 1;
		}
	}
	return used;
}

static const char *line_check(const char *line, size_t n)
{
	for (size_t i = 0, used; i < n; i += used) {
		used = tree_name_character((const unsigned char *)line + i, n - i);
		if (!used)
			return "not UTF-8, or a control character";
	}
	return NULL;
}

/* A line without its end, which the caller has seen. */
static const char *line_parse(struct ftp_command *ret, const char *p, size_t n)
{
	char *line = ret->argument, word[8];
	const char *why;
	size_t verb;

	n = line_copy(line, p, n);
	if (n && line[n - 1] == '\r')
		n--;
	why = line_check(line, n);
	if (why)
		n = 0;
	line[n] = '\0';
	verb = strcspn(line, " ");
	if (verb && verb < sizeof(word)) {
		memcpy(word, line, verb);
		word[verb] = '\0';
		ret->verb = verb_find(word);
	}
	verb += line[verb] == ' ';
	memmove(line, line + verb, n - verb + 1);
	return why;
}

ssize_t ftp_command_parse(
	struct ftp_command *ret, const char *p, size_t n, size_t seen, const char **why)
{
	size_t most = n < FTP_LINE_BYTES ? n : FTP_LINE_BYTES;
	const char *end = seen < most ? memchr(p + seen, '\n', most - seen) : NULL;

	*why = NULL;
	if (!end)
		return most == FTP_LINE_BYTES ? -EMSGSIZE : 0;
	ret->verb = FTP_UNKNOWN;
	*why = line_parse(ret, p, (size_t)(end - p));
	return end + 1 - p;
}
