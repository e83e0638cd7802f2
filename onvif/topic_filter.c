#include "onvif/topic_filter.h"

#include <string.h>

#define BLANKS " \t\r\n"
#define SUBTREE "//."

static bool is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || c == '.' || c == ':' || c == '*' || (unsigned char)c >= 0x80;
}

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, BLANKS);
}

/* The end of a name, with its prefix. */
static const char *skip_name(const char *p)
{
	while (is_name_byte(*p))
		p++;
	return p;
}

static const char *skip_path(const char *p)
{
	const char *name = p;

	while ((p = skip_name(name)) != name && *p == '/' && is_name_byte(p[1]) && p[1] != '.')
		name = p + 1;
	if (p == name)
		return NULL;
	return strncmp(p, SUBTREE, strlen(SUBTREE)) == 0 ? p + strlen(SUBTREE) : p;
}

bool topic_filter_is_valid(const char *expression)
{
	const char *p = skip_blanks(expression);

	if (!*p)
		return true;
	for (;;) {
		p = skip_path(p);
		if (!p)
			return false;
		p = skip_blanks(p);
		if (!*p)
			return true;
		if (*p != '|')
			return false;
		p = skip_blanks(p + 1);
	}
}

/* Whether the n bytes of a name, without its prefix, stand for that of the topic. */
static bool is_name(const char *p, size_t n, const char *topic, size_t topic_bytes)
{
	const char *colon = memchr(p, ':', n);

	if (colon) {
		n -= (size_t)(colon + 1 - p);
		p = colon + 1;
	}
	return (n == 1 && *p == '*') || (n == topic_bytes && memcmp(p, topic, n) == 0);
}

/* One alternative of a valid expression; *end is behind it. */
static bool path_has(const char *p, const char *topic, const char **end)
{
	bool fits = true;

	for (;;) {
		const char *stop = skip_name(p);
		size_t n = strcspn(topic, "/");

		fits = fits && n && is_name(p, (size_t)(stop - p), topic, n);
		topic += n;
		p = stop;
		if (*p != '/' || p[1] == '/')
			break;
		p++;
		topic += *topic == '/';
	}
	*end = p + (*p == '/' ? strlen(SUBTREE) : 0);
	return fits && (*p == '/' || !*topic);
}

bool topic_filter_has(const char *expression, const char *topic)
{
	const char *p = skip_blanks(expression);
	bool has = !*p;

	while (*p) {
		has = path_has(p, topic, &p) || has;
		p = skip_blanks(p);
		p = skip_blanks(p + (*p == '|'));
	}
	return has;
}
