/* Lines of who did what. */
#include "server/base/audit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "server/base/log.h"

enum {
	USER_BYTES = 65,
	MESSAGE_BYTES = 3072
};

/* What no user's name has becomes '?', so that a name cannot look like the rest of a line. */
static void write_user(char ret[USER_BYTES], const char *name)
{
	size_t n = strnlen(name, USER_BYTES - 1);

	for (size_t i = 0; i < n; i++) {
		bool is_usual =
			name[i] >= ' ' && name[i] <= '~' && name[i] != ':' && name[i] != '"';

		ret[i] = is_usual ? name[i] : '?';
	}
	ret[n] = '\0';
}

void audit_write_address(char ret[AUDIT_ADDRESS_BYTES], const struct sockaddr *address)
{
	const void *bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
	const struct in6_addr *v6 =
		&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
	int family = address->sa_family;

	if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(v6)) { /* IPv4 at a listener of both */
		family = AF_INET;
		bytes = &v6->s6_addr[12];
	} else if (family == AF_INET6) {
		bytes = v6;
	}
	if (!inet_ntop(family, bytes, ret, AUDIT_ADDRESS_BYTES))
		(void)snprintf(ret, AUDIT_ADDRESS_BYTES, "unknown");
}

void audit(const struct audit_actor *actor, const char *what, const char *format, ...)
{
	char user_text[USER_BYTES], address_text[AUDIT_ADDRESS_BYTES], message[MESSAGE_BYTES];
	struct log_name names[4];
	size_t n = 0;
	va_list arguments;

	names[n++] = (struct log_name){ .kind = "audit", .name = what };
	if (actor->user) {
		write_user(user_text, actor->user);
		names[n++] = (struct log_name){ .kind = "user", .name = user_text };
	}
	if (actor->address) {
		audit_write_address(address_text, actor->address);
		names[n++] = (struct log_name){ .kind = "address", .name = address_text };
	}
	names[n++] = (struct log_name){ .kind = "protocol", .name = actor->protocol };
	for (size_t i = 1; i < n; i++)
		names[i].parent = &names[i - 1];
	va_start(arguments, format);
	(void)vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	log_always(&names[n - 1], "%s", message);
}
