/* Which devices a Probe asks for by their scopes. */
#include "onvif/discovery_scope.h"

#include <string.h>
#include <strings.h>

#include "server/base/attributes.h"

#define RULES "http://schemas.xmlsoap.org/ws/2005/04/discovery/"

/* A URI, as far as scopes are compared: without query and fragment. */
struct scope {
	const char *place; /* scheme and authority, in which case does not count */
	size_t place_bytes;
	const char *path;
	size_t path_bytes;
};

enum discovery_rule discovery_rule_find(const char *uri)
{
	static const struct {
		const char *uri;
		enum discovery_rule rule;
	} rows[] = {
		{"",               DISCOVERY_RULE_PREFIX},
		{ RULES "rfc3986", DISCOVERY_RULE_PREFIX}, /* ONVIF's */
		{ RULES "rfc2396", DISCOVERY_RULE_PREFIX},
		{ RULES "strcmp0", DISCOVERY_RULE_EXACT },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (!strcmp(rows[i].uri, uri))
			return rows[i].rule;
	}
	return DISCOVERY_RULE_UNKNOWN;
}

const char *discovery_next_word(const char **at, size_t *n)
{
	const char *word = *at + strspn(*at, " \t\r\n");

	*n = strcspn(word, " \t\r\n");
	*at = word + *n;
	return *n ? word : NULL;
}

static size_t find_byte(const char *p, size_t n, char byte)
{
	const char *found = memchr(p, byte, n);

	return found ? (size_t)(found - p) : n;
}

static void scope_parse(struct scope *ret, const char *p, size_t n)
{
	size_t at;

	n = find_byte(p, n, '#');
	n = find_byte(p, n, '?');
	at = find_byte(p, n, ':');
	if (n - at > 2 && p[at + 1] == '/' && p[at + 2] == '/')
		at += 3 + find_byte(p + at + 3, n - at - 3, '/');
	*ret = (struct scope){ p, at, p + at, n - at };
}

/* A slash at the end of what is asked for counts for nothing. */
static bool is_prefix(const struct scope *asked, const struct scope *our)
{
	size_t n = asked->path_bytes;

	while (n && asked->path[n - 1] == '/')
		n--;
	return asked->place_bytes == our->place_bytes &&
	       strncasecmp(asked->place, our->place, our->place_bytes) == 0 &&
	       n <= our->path_bytes && memcmp(asked->path, our->path, n) == 0 &&
	       (n == 0 || n == our->path_bytes || our->path[n] == '/');
}

static bool one_matches(
	enum discovery_rule rule, const char *asked, size_t asked_bytes, const char *ours)
{
	struct scope scope, our;
	const char *word;
	size_t n;

	scope_parse(&scope, asked, asked_bytes);
	while ((word = discovery_next_word(&ours, &n))) {
		scope_parse(&our, word, n);
		if (rule == DISCOVERY_RULE_EXACT
				? n == asked_bytes && memcmp(word, asked, n) == 0
				: rule == DISCOVERY_RULE_PREFIX && is_prefix(&scope, &our))
			return true;
	}
	return false;
}

bool discovery_scopes_match(enum discovery_rule rule, const char *asked, const char *ours)
{
	const char *word;
	size_t n;

	while ((word = discovery_next_word(&asked, &n))) {
		if (!one_matches(rule, word, n, ours))
			return false;
	}
	return true;
}
