/* X-Forwarded-For, read from its end. Pure functions of text. */
#include "protocols/forwarded.h"

#include <string.h>

bool forwarded_is_trusted(
	const struct network_address *address, const struct network *trusted, size_t n_trusted)
{
	for (size_t i = 0; i < n_trusted; i++) {
		if (network_has(&trusted[i], address))
			return true;
	}
	return false;
}

/* Takes the last element off the list. */
static struct message_text forwarded_take_last(struct message_text *list)
{
	const char *comma = memrchr(list->p, ',', list->n);
	const char *start = comma ? comma + 1 : list->p;
	struct message_text last = { start, (size_t)(list->p + list->n - start) };

	list->n = comma ? (size_t)(comma - list->p) : 0;
	return message_text_trim(last);
}

/* An address, perhaps in brackets, perhaps with a port, which is dropped. */
static bool forwarded_parse(struct network_address *ret, struct message_text element)
{
	const char *colon = element.n ? memchr(element.p, ':', element.n) : NULL;

	if (element.n && element.p[0] == '[') {
		const char *bracket = memchr(element.p, ']', element.n);
		size_t n = bracket ? (size_t)(bracket - element.p) : 0;

		return bracket && (n + 1 == element.n || bracket[1] == ':') &&
		       memchr(element.p, ':', n) &&
		       network_address_parse(ret, element.p + 1, n - 1);
	}
	/* one colon is before a port, more are IPv6 */
	if (colon && !memchr(colon + 1, ':', (size_t)(element.p + element.n - colon - 1)))
		element.n = (size_t)(colon - element.p);
	return element.n && network_address_parse(ret, element.p, element.n);
}

bool forwarded_follow(struct network_address *at, struct message_text list,
	const struct network *trusted, size_t n_trusted)
{
	while (list.n && forwarded_is_trusted(at, trusted, n_trusted)) {
		if (!forwarded_parse(at, forwarded_take_last(&list)))
			return false;
	}
	return forwarded_is_trusted(at, trusted, n_trusted);
}
