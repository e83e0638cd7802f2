/* What this nvrd says of itself by WS-Discovery: Hello, Bye, and answers, which wait a random while (section 2.4, APP_MAX_DELAY). */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/util.h>

#include "onvif/discovery_private.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"

enum {
	WAITING_MOST = 256, /* answers and greetings; one more is dropped, and counted */
	DELAY_US = 500000,
	NETWORKS_MOST = 16, /* that are looked at on an interface */
	ADDRESSES_BYTES = 512
};

/* One of those that we are. */
struct self {
	struct discovery_self said; /* its texts are owned */
	char endpoint[DISCOVERY_ID_BYTES];
};

/* Something that is to be said. */
struct waiting {
	TAILQ_ENTRY(waiting) entry;
	const struct self *self;
	const struct discovery_way *way;
	enum discovery_statement statement;
	/* of an answer; "": it is for all */
	struct sockaddr_in to;
	char relates_to[DISCOVERY_ID_BYTES];
	int64_t at_us; /* monotonic */
};

struct discovery_answers {
	struct self *selves;
	size_t n;
	TAILQ_HEAD(, waiting) waiting; /* the next one first */
	size_t n_waiting;
	struct event *timer; /* to the next one */
	uint32_t instance, version, number;
	struct metric *sent, *full, *foreign;
};

/* --- our addresses --- */

struct near_network {
	struct in_addr address, mask;
};

/* The IPv4 networks of an interface, NETWORKS_MOST at most. Returns how many. */
static size_t find_networks(const char *name, struct near_network ret[NETWORKS_MOST])
{
	struct ifaddrs *all = NULL;
	struct sockaddr_in address, mask;
	size_t n = 0;

	if (getifaddrs(&all) < 0)
		return 0;
	for (const struct ifaddrs *a = all; a && n < NETWORKS_MOST; a = a->ifa_next) {
		if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET || !a->ifa_netmask ||
			strcmp(a->ifa_name, name) != 0)
			continue;
		memcpy(&address, a->ifa_addr, sizeof(address));
		memcpy(&mask, a->ifa_netmask, sizeof(mask));
		ret[n++] = (struct near_network){ address.sin_addr, mask.sin_addr };
	}
	freeifaddrs(all);
	return n;
}

/* The one that the address is in; NULL: it is not on that interface. */
static const struct near_network *find_near(
	const struct near_network *networks, size_t n, struct in_addr address)
{
	for (size_t i = 0; i < n; i++) {
		if (((networks[i].address.s_addr ^ address.s_addr) & networks[i].mask.s_addr) == 0)
			return &networks[i];
	}
	return NULL;
}

/* Where a device is found from one network, and the first of these addresses. What listens elsewhere is not: then false. */
static bool write_addresses(char ret[ADDRESSES_BYTES], struct in_addr *first,
	const struct discovery_self *self, const struct near_network *networks, size_t n,
	const struct near_network *near)
{
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(self->places) && self->places[i].port; i++) {
		const struct discovery_place *place = &self->places[i];
		struct in_addr address = place->host;
		char host[INET_ADDRSTRLEN];

		if (address.s_addr == htonl(INADDR_ANY))
			address = near->address;
		else if (!find_near(networks, n, address))
			continue;
		if (!used)
			*first = address;
		(void)inet_ntop(AF_INET, &address, host, sizeof(host));
		used += (size_t)snprintf(ret + used, ADDRESSES_BYTES - used,
			"%shttp%s://%s:%u/onvif/device_service", used ? " " : "",
			place->tls ? "s" : "", host, place->port);
	}
	return used > 0;
}

/* --- saying --- */

static void say(struct discovery_answers *answers, const struct waiting *what,
	const char *addresses, struct in_addr from)
{
	const struct sockaddr_in *to = what->relates_to[0] ? &what->to : NULL;
	struct discovery_words words = { what->self->endpoint, what->self->said.scopes, addresses,
		answers->version, answers->instance, ++answers->number, what->relates_to };
	char uuid[DISCOVERY_UUID_BYTES];
	size_t n;
	char *text = discovery_write(what->statement, discovery_new_uuid(uuid), &words, &n);

	discovery_send(what->way, to, from, text, n);
	metric_add(answers->sent, to != NULL);
	free(text);
}

/* Only hosts of the interface's own networks are answered: nobody further away is sent what somebody asks for in his name. */
static void say_if_near(struct discovery_answers *answers, const struct waiting *what)
{
	struct near_network networks[NETWORKS_MOST];
	size_t n = find_networks(what->way->name, networks);
	const struct near_network *near = networks;
	char addresses[ADDRESSES_BYTES];
	struct in_addr from;

	if (what->relates_to[0])
		near = find_near(networks, n, what->to.sin_addr);
	if (!n || !near) {
		metric_add(answers->foreign, 1);
		return;
	}
	if (write_addresses(addresses, &from, &what->self->said, networks, n, near))
		say(answers, what, addresses, from);
}

/* --- what waits --- */

static void waiting_remove(struct discovery_answers *answers, struct waiting *waiting)
{
	TAILQ_REMOVE(&answers->waiting, waiting, entry);
	answers->n_waiting--;
	free(waiting);
}

static void start_timer(struct discovery_answers *answers)
{
	const struct waiting *first = TAILQ_FIRST(&answers->waiting);
	int64_t now_us = reactor_monotonic_us();

	if (first)
		reactor_timer_start(
			answers->timer, first->at_us > now_us ? first->at_us - now_us : 0);
}

static void answers_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct discovery_answers *answers = arg;
	int64_t now_us = reactor_monotonic_us();
	struct waiting *first;

	(void)fd, (void)what;
	while ((first = TAILQ_FIRST(&answers->waiting)) && first->at_us <= now_us) {
		say_if_near(answers, first);
		waiting_remove(answers, first);
	}
	start_timer(answers);
}

static void waiting_add(struct discovery_answers *answers, const struct waiting *what)
{
	struct waiting *waiting, *other;
	uint32_t chance;

	if (answers->n_waiting == WAITING_MOST) {
		metric_add(answers->full, 1);
		return;
	}
	evutil_secure_rng_get_bytes(&chance, sizeof(chance));
	waiting = xcalloc(1, sizeof(*waiting));
	*waiting = *what;
	waiting->at_us = reactor_monotonic_us() + chance % (DELAY_US + 1);
	other = TAILQ_FIRST(&answers->waiting);
	while (other && other->at_us <= waiting->at_us)
		other = TAILQ_NEXT(other, entry);
	if (other)
		TAILQ_INSERT_BEFORE(other, waiting, entry);
	else
		TAILQ_INSERT_TAIL(&answers->waiting, waiting, entry);
	answers->n_waiting++;
	start_timer(answers);
}

void discovery_answers_clear(struct discovery_answers *answers)
{
	while (!TAILQ_EMPTY(&answers->waiting))
		waiting_remove(answers, TAILQ_FIRST(&answers->waiting));
}

/* --- occasions --- */

void discovery_answers_hello(struct discovery_answers *answers, const struct discovery_way *way)
{
	for (size_t i = 0; i < answers->n; i++)
		waiting_add(answers, &(struct waiting){ .self = &answers->selves[i],
					     .way = way,
					     .statement = DISCOVERY_SAY_HELLO });
}

void discovery_answers_bye(struct discovery_answers *answers, const struct discovery_way *way)
{
	for (size_t i = 0; i < answers->n; i++)
		say_if_near(answers, &(struct waiting){ .self = &answers->selves[i],
					     .way = way,
					     .statement = DISCOVERY_SAY_BYE });
}

static bool is_meant(const struct discovery_question *question, const struct self *self)
{
	return question->is_resolve ? !strcmp(question->endpoint, self->endpoint)
				    : discovery_scopes_match(
					      question->rule, question->scopes, self->said.scopes);
}

void discovery_answers_take(struct discovery_answers *answers, const struct discovery_way *way,
	const struct discovery_question *question, const struct sockaddr_in *from)
{
	struct waiting waiting = { .way = way,
		.statement = question->is_resolve ? DISCOVERY_SAY_RESOLVE : DISCOVERY_SAY_MATCH,
		.to = *from };

	memcpy(waiting.relates_to, question->id, sizeof(waiting.relates_to));
	for (size_t i = 0; i < answers->n; i++) {
		if (!is_meant(question, &answers->selves[i]))
			continue;
		waiting.self = &answers->selves[i];
		waiting_add(answers, &waiting);
	}
}

/* --- who we are --- */

bool discovery_answers_is_own(const struct discovery_answers *answers, const char *endpoint)
{
	for (size_t i = 0; i < answers->n; i++) {
		if (!strcmp(answers->selves[i].endpoint, endpoint))
			return true;
	}
	return false;
}

static bool self_is_same(const struct discovery_self *a, const struct discovery_self *b)
{
	for (size_t i = 0; i < ARRAY_LENGTH(a->places); i++) {
		if (a->places[i].host.s_addr != b->places[i].host.s_addr ||
			a->places[i].port != b->places[i].port ||
			a->places[i].tls != b->places[i].tls)
			return false;
	}
	return !strcmp(a->uuid, b->uuid) && !strcmp(a->scopes, b->scopes);
}

static void selves_free(struct discovery_answers *answers)
{
	for (size_t i = 0; i < answers->n; i++) {
		free(answers->selves[i].said.uuid);
		free(answers->selves[i].said.scopes);
	}
	free(answers->selves);
	answers->selves = NULL;
	answers->n = 0;
}

bool discovery_answers_are(
	const struct discovery_answers *answers, const struct discovery_self *selves, size_t n)
{
	size_t same = 0;

	while (same < n && same < answers->n &&
		self_is_same(&answers->selves[same].said, &selves[same]))
		same++;
	return same == n && n == answers->n;
}

void discovery_answers_set(
	struct discovery_answers *answers, const struct discovery_self *selves, size_t n)
{
	discovery_answers_clear(answers);
	selves_free(answers);
	answers->selves = xcalloc(n + 1, sizeof(*answers->selves));
	for (size_t i = 0; i < n; i++) {
		struct self *self = &answers->selves[i];

		self->said = selves[i];
		self->said.uuid = xstrdup(selves[i].uuid);
		self->said.scopes = xstrdup(selves[i].scopes);
		snprintf(self->endpoint, sizeof(self->endpoint), "urn:uuid:%s", selves[i].uuid);
	}
	answers->n = n;
	answers->version = (uint32_t)(reactor_now_us() / 1000000); /* grows over restarts, too */
}

struct discovery_answers *discovery_answers_new(void)
{
	struct discovery_answers *answers = xcalloc(1, sizeof(*answers));

	TAILQ_INIT(&answers->waiting);
	answers->timer = reactor_timer_new(answers_on_timer, answers);
	answers->instance = (uint32_t)(reactor_now_us() / 1000000);
	answers->sent = metric_get(METRIC_DISCOVERY_ANSWERS);
	answers->full = metric_get(METRIC_DISCOVERY_UNANSWERED, "full");
	answers->foreign = metric_get(METRIC_DISCOVERY_UNANSWERED, "foreign");
	return answers;
}

void discovery_answers_free(struct discovery_answers *answers)
{
	discovery_answers_clear(answers);
	selves_free(answers);
	reactor_timer_free(&answers->timer);
	free(answers);
}
