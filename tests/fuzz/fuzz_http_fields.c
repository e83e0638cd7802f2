/* The small grammars of HTTP: dates, ranges, conditions, hosts, targets, queries, cookies. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/forwarded.h"
#include "protocols/http_condition.h"
#include "protocols/http_cookie.h"
#include "protocols/http_date.h"
#include "protocols/http_host.h"
#include "protocols/http_range.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_date(struct message_text text)
{
	char date[HTTP_DATE_BYTES];
	int64_t us = http_date_parse(text);

	if (us < -1)
		abort();
	if (us >= 0) {
		struct message_text again = { http_date_write(date, us), HTTP_DATE_BYTES - 1 };
		if (http_date_parse(again) != us)
			abort();
	}
}

/* Each is within, and no byte is in two. */
static void check_range(struct message_text text, uint64_t size)
{
	struct http_ranges ranges;

	if (http_range_parse(&ranges, text, size) != HTTP_RANGE_PART)
		return;
	if (!ranges.n || ranges.n > HTTP_RANGES)
		abort();
	for (size_t i = 0; i < ranges.n; i++) {
		const struct http_range *a = &ranges.ranges[i];

		if (!a->bytes || a->first >= size || a->bytes > size - a->first)
			abort();
		for (size_t j = i + 1; j < ranges.n; j++) {
			const struct http_range *b = &ranges.ranges[j];

			if (a->first < b->first + b->bytes && b->first < a->first + a->bytes)
				abort();
		}
	}
}

static void check_host(struct message_text text)
{
	struct message_text host;
	struct http_target target;
	char value[16];

	if (http_host_port(text).n > 5)
		abort();
	if (http_host_parse(text, &host))
		(void)http_host_is_ours(host, "192.0.2.1:8080");
	if (http_target_parse(&target, text) && target.path.n == 0)
		abort();
	if (http_query_find(text, "q", value, sizeof(value)) && strlen(value) >= sizeof(value))
		abort();
}

/* Whatever a proxy that is trusted says, it names itself, or somebody who can be written. */
static void check_forwarded(struct message_text text)
{
	struct network trusted = { .bits = 0 };
	struct network_address at = { { 0 } };
	char address[INET6_ADDRSTRLEN];

	(void)forwarded_follow(&at, text, &trusted, 1); /* everybody */
	if (!network_address_write(&at, address)[0])
		abort();
	trusted.bits = 96; /* 0.0.0.0/96: almost nobody */
	memset(&at, 0, sizeof(at));
	(void)forwarded_follow(&at, text, &trusted, 1);
	(void)http_host_equal(text, text);
}

/* Each value is within the field, and behind the one before. */
static void check_cookies(struct message_text text)
{
	struct message message = { .fields = { { { "Cookie", 6 }, text } }, .n_fields = 1 };
	struct http_cookies cookies = { .message = &message, .name = "a" };
	const char *at = text.p;
	struct message_text value;

	while (http_cookies_next(&cookies, &value)) {
		if (value.p < at || value.n > (size_t)(text.p + text.n - value.p))
			abort();
		at = value.p + value.n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct message_text text = { (const char *)p, n };
	struct http_conditions c = { text, text, text, text, text };
	struct http_conditions none = { .if_none_match = text, .if_range = text };

	check_date(text);
	check_range(text, n * 1000);
	check_range(text, UINT64_MAX);
	check_host(text);
	check_forwarded(text);
	check_cookies(text);
	(void)http_condition_judge(&c, "\"a\"", 784111777000000);
	(void)http_condition_judge(&none, "\"a\"", 784111777000000);
	(void)http_condition_range_counts(&none, "\"a\"", 784111777000000);
	return 0;
}
