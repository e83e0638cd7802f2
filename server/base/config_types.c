/* What an option of each type is: from text and back, defaults, copies, comparison. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "server/base/config_private.h"
#include "server/base/memory.h"

enum {
	RESERVE_PERCENT = 90 /* the most */
};

int config_parse_duration(const char *text, int64_t *ret_us)
{
	static const struct {
		const char *unit;
		int64_t us;
	} units[] = {
		{"ms", 1000                        },
		{ "s", 1000000                     },
		{ "m", 60 * INT64_C(1000000)       },
		{ "h", 3600 * INT64_C(1000000)     },
		{ "d", 24 * 3600 * INT64_C(1000000)},
	};
	size_t digits = strspn(text, "0123456789");
	int64_t value = 0;

	if (digits == 0 || digits > 9)
		return -EINVAL;
	for (size_t i = 0; i < digits; i++)
		value = value * 10 + (text[i] - '0');
	if (value == 0 && !text[digits]) {
		*ret_us = 0;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		if (strcmp(text + digits, units[i].unit) != 0)
			continue;
		/* Nine digits of days do not fit into 63 bits. */
		if (value > INT64_MAX / units[i].us)
			return -EINVAL;
		*ret_us = value * units[i].us;
		return 0;
	}
	return -EINVAL;
}

int config_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const struct {
		const char *unit;
		uint64_t bytes;
	} units[] = {
		{"KB",   1000                   },
		{ "MB",  1000000                },
		{ "GB",  UINT64_C(1000000000)   },
		{ "TB",  UINT64_C(1000000000000)},
		{ "KiB", UINT64_C(1) << 10      },
		{ "MiB", UINT64_C(1) << 20      },
		{ "GiB", UINT64_C(1) << 30      },
		{ "TiB", UINT64_C(1) << 40      },
	};
	size_t digits = strspn(text, "0123456789");
	uint64_t value = 0;

	if (digits == 0 || digits > 9)
		return -EINVAL;
	for (size_t i = 0; i < digits; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	for (size_t i = 0; value && i < ARRAY_LENGTH(units); i++) {
		if (strcmp(text + digits, units[i].unit) != 0)
			continue;
		/* Nine digits of terabytes do not fit into 63 bits. */
		if (value > INT64_MAX / units[i].bytes)
			return -EINVAL;
		*ret_bytes = value * units[i].bytes;
		return 0;
	}
	return -EINVAL;
}

int config_parse_day(const char *text, int64_t *ret_us)
{
	struct tm tm = { 0 }, given;
	const char *end = strptime(text, "%Y-%m-%d", &tm);

	if (!end || *end || end - text != sizeof("2027-01-31") - 1)
		return -EINVAL;
	given = tm;
	*ret_us = (int64_t)timegm(&tm) * 1000000;
	return tm.tm_mday == given.tm_mday && tm.tm_mon == given.tm_mon ? 0 : -EINVAL;
}

int config_parse_bool(const char *text, bool *ret)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{"yes",    true },
		{ "no",    false},
		{ "true",  true },
		{ "false", false},
		{ "on",    true },
		{ "off",   false},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
		if (strcasecmp(text, words[i].word) == 0) {
			*ret = words[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

static bool is_port(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	int value = 0;

	for (size_t i = 0; i < digits && i < 6; i++)
		value = value * 10 + (text[i] - '0');
	return digits > 0 && digits < 6 && !text[digits] && value <= 65535;
}

/* "192.0.2.1:80", "[2001:db8::1]:80" or ":80". */
static bool is_address(const char *text)
{
	unsigned char address[sizeof(struct in6_addr)];
	char host[INET6_ADDRSTRLEN];
	const char *colon = strrchr(text, ':');

	if (!colon || !is_port(colon + 1))
		return false;
	if (colon == text)
		return true;
	bool is_v6 = text[0] == '[' && colon[-1] == ']' && colon - text > 2;
	const char *begin = text + is_v6;
	size_t n = (size_t)(colon - begin) - is_v6;
	if (n >= sizeof(host))
		return false;
	memcpy(host, begin, n);
	host[n] = '\0';
	return inet_pton(is_v6 ? AF_INET6 : AF_INET, host, address) == 1;
}

static bool is_off(const char *text)
{
	bool value = true;

	return config_parse_bool(text, &value) == 0 && !value;
}

static const char *expected(char buf[CONFIG_WHY_BYTES], const char *what)
{
	(void)snprintf(buf, CONFIG_WHY_BYTES, "expected %s", what);
	return buf;
}

static const char *set_string(
	const struct config_option *o, void *field, const char *text, char buf[CONFIG_WHY_BYTES])
{
	char *value = NULL;

	if (o->type == OPTION_ADDRESS) {
		if (!is_off(text) && !is_address(text))
			return expected(
				buf, "an address such as 0.0.0.0:8080 or [::]:8080, or off");
		if (!is_off(text))
			value = xstrdup(text);
	} else {
		value = xstrdup(text);
	}
	memory_free_secret(*(char **)field);
	*(char **)field = value;
	return NULL;
}

static const char *set_duration(
	const struct config_option *o, void *field, const char *text, char buf[CONFIG_WHY_BYTES])
{
	int64_t value;
	int64_t limit;

	if (config_parse_duration(text, &value) < 0)
		return expected(buf, "a duration such as 500ms, 10s, 5m, 2h or 1d");
	bool is_low = o->min && config_parse_duration(o->min, &limit) == 0 && value < limit;
	bool is_high = o->max && config_parse_duration(o->max, &limit) == 0 && value > limit;
	if (is_low || is_high) {
		char range[64];

		(void)snprintf(range, sizeof(range), "a duration from %s to %s", o->min, o->max);
		return expected(buf, range);
	}
	*(int64_t *)field = value;
	return NULL;
}

static const char *set_keep(void *field, const char *text, char buf[CONFIG_WHY_BYTES])
{
	int64_t value = CONFIG_KEEP_FOREVER;

	if (strcmp(text, "forever") != 0 && config_parse_duration(text, &value) < 0)
		return expected(buf, "a duration such as 12h or 30d, or forever");
	if (value == 0)
		return expected(buf, "a duration that is not 0, or forever");
	*(int64_t *)field = value;
	return NULL;
}

/* A size between two limits, or one without limits that may also be none. */
static const char *set_size(
	const struct config_option *o, void *field, const char *text, char buf[CONFIG_WHY_BYTES])
{
	uint64_t value = 0, min, max;
	char range[64];

	if (!o->min || config_parse_size(o->min, &min) < 0 || config_parse_size(o->max, &max) < 0) {
		if (strcmp(text, "none") != 0 && config_parse_size(text, &value) < 0)
			return expected(buf, "a size such as 500GB or 2TiB, or none");
	} else if (config_parse_size(text, &value) < 0 || value < min || value > max) {
		(void)snprintf(range, sizeof(range), "a size from %s to %s", o->min, o->max);
		return expected(buf, range);
	}
	*(uint64_t *)field = value;
	return NULL;
}

static const char *set_share(
	struct config_share *field, const char *text, char buf[CONFIG_WHY_BYTES])
{
	struct config_share value = { 0 };
	size_t digits = strspn(text, "0123456789");

	if (digits && digits < 3 && strcmp(text + digits, "%") == 0) {
		for (size_t i = 0; i < digits; i++)
			value.percent = value.percent * 10 + (unsigned)(text[i] - '0');
		if (value.percent > RESERVE_PERCENT)
			return expected(buf, "at most 90%");
	} else if (config_parse_size(text, &value.bytes) < 0) {
		return expected(buf, "a share such as 5%, or a size such as 50GB");
	}
	*field = value;
	return NULL;
}

/* "50000-50100", or one port. */
static const char *set_ports(
	struct config_ports *field, const char *text, char buf[CONFIG_WHY_BYTES])
{
	const char *dash = strchr(text, '-');
	char first[8] = "";
	const char *last = dash ? dash + 1 : text;
	struct config_ports value;

	if (dash && dash - text < (ptrdiff_t)sizeof(first))
		memcpy(first, text, (size_t)(dash - text));
	if (!is_port(dash ? first : text) || !is_port(last))
		return expected(buf, "ports such as 50000-50100");
	value.last = (uint16_t)strtoul(last, NULL, 10);
	value.first = dash ? (uint16_t)strtoul(first, NULL, 10) : value.last;
	if (value.first == 0 || value.first > value.last)
		return expected(buf, "ports such as 50000-50100");
	*field = value;
	return NULL;
}

static const char *set_count(const struct config_option *o, unsigned *field, const char *text,
	char buf[CONFIG_WHY_BYTES])
{
	size_t digits = strspn(text, "0123456789");
	unsigned long value = digits > 0 && digits < 10 ? strtoul(text, NULL, 10) : ULONG_MAX;
	char range[64];

	if (text[digits] || value < strtoul(o->min, NULL, 10) ||
		value > strtoul(o->max, NULL, 10)) {
		(void)snprintf(range, sizeof(range), "a number from %s to %s", o->min, o->max);
		return expected(buf, range);
	}
	*field = (unsigned)value;
	return NULL;
}

static const char *set_enum(
	const struct config_option *o, void *field, const char *text, char buf[CONFIG_WHY_BYTES])
{
	char words[128] = "";
	size_t n = 0;

	for (const struct config_word *word = o->words; word->name; word++) {
		if (strcmp(text, word->name) == 0) {
			memcpy(field, &word->value, sizeof(word->value));
			return NULL;
		}
		n += (size_t)snprintf(words + n, sizeof(words) - n, "%s%s",
			word == o->words ? ""
			: word[1].name   ? ", "
					 : " or ",
			word->name);
	}
	return expected(buf, words);
}

static const char *set_day(void *field, const char *text, char buf[CONFIG_WHY_BYTES])
{
	int64_t value = 0;

	if (strcmp(text, "never") != 0 && config_parse_day(text, &value) < 0)
		return expected(buf, "a day such as 2027-01-31, or never");
	*(int64_t *)field = value;
	return NULL;
}

static const char *set_bool(void *field, const char *text, char buf[CONFIG_WHY_BYTES])
{
	bool value;

	if (config_parse_bool(text, &value) < 0)
		return expected(buf, "yes or no");
	*(bool *)field = value;
	return NULL;
}

static const char *set_value(const struct config_option *option, void *field, const char *text,
	char buf[CONFIG_WHY_BYTES])
{
	switch (option->type) {
	case OPTION_STRING:
	case OPTION_SECRET:
	case OPTION_ADDRESS:
		return set_string(option, field, text, buf);
	case OPTION_DURATION:
		return set_duration(option, field, text, buf);
	case OPTION_KEEP:
		return set_keep(field, text, buf);
	case OPTION_SIZE:
		return set_size(option, field, text, buf);
	case OPTION_SHARE:
		return set_share(field, text, buf);
	case OPTION_PORTS:
		return set_ports(field, text, buf);
	case OPTION_COUNT:
		return set_count(option, field, text, buf);
	case OPTION_ENUM:
		return set_enum(option, field, text, buf);
	case OPTION_BOOL:
		return set_bool(field, text, buf);
	case OPTION_NAMES:
		break; /* read_names() does this */
	case OPTION_DAY:
		return set_day(field, text, buf);
	}
	abort();
}

const char *config_option_set(const struct config_option *option, void *object, const char *text,
	bool may_show, char buf[CONFIG_WHY_BYTES])
{
	const char *why = option->check ? option->check(text) : NULL;
	char shown[CONFIG_SHOWN_BYTES];
	size_t n;

	if (option->type == OPTION_NAMES) {
		(void)snprintf(
			buf, CONFIG_WHY_BYTES, "expected a list such as %s", option->example);
		return buf;
	}
	may_show = may_show && option->type != OPTION_SECRET;
	if (why && may_show) {
		(void)snprintf(buf, CONFIG_WHY_BYTES, "\"%s\" %s", config_show(shown, text), why);
		return buf;
	}
	if (why)
		return why;
	why = set_value(option, (char *)object + option->offset, text, buf);
	if (why && may_show) {
		n = strlen(buf);
		(void)snprintf(
			buf + n, CONFIG_WHY_BYTES - n, ", not \"%s\"", config_show(shown, text));
	}
	return why;
}

void config_options_set_defaults(const char *prefix, void *object)
{
	char buf[CONFIG_WHY_BYTES];

	for (const struct config_option *o = config_options; o->key; o++) {
		if (!o->standard || !config_option_has_prefix(o, prefix))
			continue;
		if (config_option_set(o, object, o->standard, true, buf))
			abort(); /* a wrong row of the table */
	}
}

static void free_names(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

void config_options_clear(const char *prefix, void *object)
{
	for (const struct config_option *o = config_options; o->key; o++) {
		char **field = (char **)(void *)((char *)object + o->offset);

		if (!config_option_has_prefix(o, prefix))
			continue;
		switch (o->type) {
		case OPTION_STRING:
		case OPTION_SECRET:
		case OPTION_ADDRESS:
			memory_free_secret(*field);
			*field = NULL;
			break;
		case OPTION_NAMES:
			free_names(*(char ***)(void *)field);
			*field = NULL;
			break;
		case OPTION_DURATION:
		case OPTION_KEEP:
		case OPTION_SIZE:
		case OPTION_SHARE:
		case OPTION_PORTS:
		case OPTION_COUNT:
		case OPTION_ENUM:
		case OPTION_BOOL:
		case OPTION_DAY:
			break;
		}
	}
}

static char **copy_names(char **names)
{
	size_t n = 0;
	char **copy;

	if (!names)
		return NULL;
	while (names[n])
		n++;
	copy = xcalloc(n + 1, sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(names[i]);
	return copy;
}

void config_options_copy(const char *prefix, void *to, const void *from)
{
	for (const struct config_option *o = config_options; o->key; o++) {
		void *field = (char *)to + o->offset;
		const void *value = (const char *)from + o->offset;

		if (!config_option_has_prefix(o, prefix))
			continue;
		switch (o->type) {
		case OPTION_STRING:
		case OPTION_SECRET:
		case OPTION_ADDRESS:
			if (*(char *const *)value)
				*(char **)field = xstrdup(*(char *const *)value);
			break;
		case OPTION_NAMES:
			*(char ***)field = copy_names(*(char **const *)value);
			break;
		case OPTION_DURATION:
		case OPTION_KEEP:
		case OPTION_SIZE:
		case OPTION_DAY:
			memcpy(field, value, sizeof(int64_t));
			break;
		case OPTION_SHARE:
			memcpy(field, value, sizeof(struct config_share));
			break;
		case OPTION_PORTS:
			memcpy(field, value, sizeof(struct config_ports));
			break;
		case OPTION_COUNT:
			memcpy(field, value, sizeof(unsigned));
			break;
		case OPTION_ENUM:
			memcpy(field, value, sizeof(int));
			break;
		case OPTION_BOOL:
			memcpy(field, value, sizeof(bool));
			break;
		}
	}
}

static bool strings_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool names_equal(char **a, char **b)
{
	size_t i = 0;

	if (!a || !b)
		return a == b;
	while (a[i] && b[i] && strcmp(a[i], b[i]) == 0)
		i++;
	return !a[i] && !b[i];
}

bool config_option_equal(const struct config_option *option, const void *a, const void *b)
{
	const void *one = (const char *)a + option->offset;
	const void *two = (const char *)b + option->offset;

	switch (option->type) {
	case OPTION_STRING:
	case OPTION_SECRET:
	case OPTION_ADDRESS:
		return strings_equal(*(char *const *)one, *(char *const *)two);
	case OPTION_DURATION:
	case OPTION_KEEP:
	case OPTION_SIZE:
	case OPTION_DAY:
		return memcmp(one, two, sizeof(int64_t)) == 0;
	case OPTION_SHARE:
		return ((const struct config_share *)one)->bytes ==
			       ((const struct config_share *)two)->bytes &&
		       ((const struct config_share *)one)->percent ==
			       ((const struct config_share *)two)->percent;
	case OPTION_PORTS:
		return memcmp(one, two, sizeof(struct config_ports)) == 0;
	case OPTION_COUNT:
		return *(const unsigned *)one == *(const unsigned *)two;
	case OPTION_ENUM:
		return memcmp(one, two, sizeof(int)) == 0;
	case OPTION_BOOL:
		return *(const bool *)one == *(const bool *)two;
	case OPTION_NAMES:
		return names_equal(*(char **const *)one, *(char **const *)two);
	}
	abort();
}
