#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onvif/discovery.h"
#include "onvif/discovery_message.h"
#include "server/base/attributes.h"
#include "server/base/log.h"

/* What discovery_answers.c says of who we are on the networks of discovery.c. */

/* One network; embedded in what outlives its answers. */
struct discovery_way {
	const char *name; /* of the interface */
	int fd;           /* to the group and back */
	struct log_name log;
};
/*
 * A message to one host, or to the group (NULL), from one of our addresses, by which others know us; INADDR_ANY leaves that to the
 * kernel.
 */
void discovery_send(const struct discovery_way *way, const struct sockaddr_in *to,
	struct in_addr from, const char *text, size_t n);
/* Of a message of its own: 8-4-4-4-12 hexadecimal digits, with NUL. */
enum {
	DISCOVERY_UUID_BYTES = 37
};
char *discovery_new_uuid(char ret[DISCOVERY_UUID_BYTES]);

struct discovery_answers;
struct discovery_answers *discovery_answers_new(void) MUST_CHECK;
void discovery_answers_free(struct discovery_answers *answers);
bool discovery_answers_are(
	const struct discovery_answers *answers, const struct discovery_self *selves, size_t n);
/* Takes over who we are; what waits is dropped. */
void discovery_answers_set(
	struct discovery_answers *answers, const struct discovery_self *selves, size_t n);
/* What waits is dropped: the networks go. */
void discovery_answers_clear(struct discovery_answers *answers);
/* Whether that is the endpoint of one of us. */
bool discovery_answers_is_own(const struct discovery_answers *answers, const char *endpoint);

/* Soon, each at a time of its own. */
void discovery_answers_hello(struct discovery_answers *answers, const struct discovery_way *way);
/* At once. */
void discovery_answers_bye(struct discovery_answers *answers, const struct discovery_way *way);
/* Soon, if it means one of us. */
void discovery_answers_take(struct discovery_answers *answers, const struct discovery_way *way,
	const struct discovery_question *question, const struct sockaddr_in *from);
