/* The cookies of a request: a pure function of its head. */
#include "protocols/http_cookie.h"

#include <string.h>

bool http_cookies_next(struct http_cookies *cookies, struct message_text *value)
{
	size_t n = strlen(cookies->name);

	do {
		while (cookies->rest.n) {
			struct message_text pair = message_text_cut(&cookies->rest, ';');

			if (pair.n <= n || pair.p[n] != '=' ||
				memcmp(pair.p, cookies->name, n) != 0)
				continue;
			*value = (struct message_text){ pair.p + n + 1, pair.n - n - 1 };
			return true;
		}
		cookies->field = message_find_next(cookies->message, "Cookie", cookies->field);
		if (cookies->field)
			cookies->rest = cookies->field->value;
	} while (cookies->field);
	return false;
}
