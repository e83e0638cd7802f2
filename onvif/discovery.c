/* WS-Discovery: two sockets on each network, and who was heard there. */
#include "onvif/discovery.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "onvif/discovery_private.h"
#include "server/base/auth.h"
#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"

#define PROBE_US INT64_C(60000000)
#define SILENT_US (5 * PROBE_US) /* after this a device is gone */

enum {
	DEVICES_MOST = 256, /* the one that was heard longest ago makes room */
	ROUND = 32          /* datagrams in a wake-up */
};

struct device {
	TAILQ_ENTRY(device) entry; /* the one that was heard last first */
	struct discovery_device said;
	struct in_addr host;
	int64_t seen_us;  /* since 1970 UTC: first */
	int64_t heard_us; /* monotonic: last */
};
TAILQ_HEAD(devices, device);

/* One network. */
struct network_ear {
	TAILQ_ENTRY(network_ear) entry;
	struct discovery *discovery;
	struct discovery_way way;
	char *name;
	int fds[2]; /* to the group and back, the way's; what the group is told */
	struct event *reads[2];
};

struct discovery {
	TAILQ_HEAD(, network_ear) ears;
	struct devices devices;
	size_t n;
	struct event *timer; /* to the next Probe */
	struct discovery_answers *answers;
	struct metric *known, *refused;
};

/* --- devices --- */

static void device_remove(struct discovery *discovery, struct device *device)
{
	TAILQ_REMOVE(&discovery->devices, device, entry);
	discovery->n--;
	metric_set(discovery->known, (double)discovery->n);
	free(device);
}

static struct device *device_find(const struct discovery *discovery,
	const struct discovery_device *said, struct in_addr host, bool by_port)
{
	struct device *device;

	TAILQ_FOREACH (device, &discovery->devices, entry) {
		if (device->host.s_addr == host.s_addr &&
			(by_port ? device->said.port == said->port
				 : !strcmp(device->said.endpoint, said->endpoint)))
			return device;
	}
	return NULL;
}

static void device_hear(
	struct discovery *discovery, const struct discovery_device *said, struct in_addr host)
{
	struct device *device = device_find(discovery, said, host, true);

	if (device) {
		TAILQ_REMOVE(&discovery->devices, device, entry);
	} else {
		if (discovery->n == DEVICES_MOST)
			device_remove(discovery, TAILQ_LAST(&discovery->devices, devices));
		device = xcalloc(1, sizeof(*device));
		device->host = host;
		device->seen_us = reactor_now_us();
		discovery->n++;
		metric_set(discovery->known, (double)discovery->n);
	}
	device->said = *said;
	device->heard_us = reactor_monotonic_us();
	TAILQ_INSERT_HEAD(&discovery->devices, device, entry);
}

/* --- datagrams --- */

struct heard {
	struct network_ear *ear;
	struct sockaddr_in from;
};

static void discovery_on_device(
	void *arg, enum discovery_kind kind, const struct discovery_device *said)
{
	const struct heard *heard = arg;
	struct discovery *discovery = heard->ear->discovery;
	struct device *device;

	if (discovery_answers_is_own(discovery->answers, said->endpoint))
		return;
	if (kind == DISCOVERY_HERE) {
		device_hear(discovery, said, heard->from.sin_addr);
		return;
	}
	device = device_find(discovery, said, heard->from.sin_addr, false);
	if (device)
		device_remove(discovery, device);
}

static void discovery_on_question(void *arg, const struct discovery_question *question)
{
	const struct heard *heard = arg;

	discovery_answers_take(
		heard->ear->discovery->answers, &heard->ear->way, question, &heard->from);
}

static void ear_on_readable(evutil_socket_t fd, short what, void *arg)
{
	static char datagram[DISCOVERY_BYTES + 1];
	static const struct discovery_events events = { discovery_on_device,
		discovery_on_question };
	struct network_ear *ear = arg;
	struct heard heard = { .ear = ear };
	const char *why;

	(void)what;
	for (int i = 0; i < ROUND; i++) {
		socklen_t size = sizeof(heard.from);
		ssize_t n = recvfrom(
			fd, datagram, sizeof(datagram), 0, (struct sockaddr *)&heard.from, &size);

		if (n < 0)
			return;
		if (discovery_message_parse(datagram, (size_t)n, &events, &heard, &why) < 0)
			metric_add(ear->discovery->refused, 1);
	}
}

void discovery_send(const struct discovery_way *way, const struct sockaddr_in *to,
	struct in_addr from, const char *text, size_t n)
{
	struct sockaddr_in group = {
		.sin_family = AF_INET,
		.sin_port = htons(DISCOVERY_PORT),
		.sin_addr.s_addr = inet_addr(DISCOVERY_GROUP),
	};
	struct in_pktinfo info = { .ipi_spec_dst = from };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(info))];
	} control = { 0 };
	struct iovec data = { .iov_len = n };
	struct msghdr message = {
		.msg_name = &group,
		.msg_namelen = sizeof(group),
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	if (to)
		group = *to;
	memcpy(&data.iov_base, &text, sizeof(text)); /* which is only read */
	control.head.cmsg_level = IPPROTO_IP;
	control.head.cmsg_type = IP_PKTINFO;
	control.head.cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(&control.head), &info, sizeof(info));
	if (sendmsg(way->fd, &message, 0) < 0)
		log_debug(&way->log, "a message was not sent: %s", strerror(errno));
}

/* RFC 9562 section 5.4: random */
char *discovery_new_uuid(char ret[DISCOVERY_UUID_BYTES])
{
	char digits[33];

	auth_random_hex(digits, 16);
	digits[12] = '4';
	digits[16] = '8';
	snprintf(ret, DISCOVERY_UUID_BYTES, "%.8s-%.4s-%.4s-%.4s-%.12s", digits, digits + 8,
		digits + 12, digits + 16, digits + 20);
	return ret;
}

static void ear_probe(struct network_ear *ear)
{
	char uuid[DISCOVERY_UUID_BYTES], *text;
	size_t n;

	text = discovery_write_probe(discovery_new_uuid(uuid), &n);
	discovery_send(&ear->way, NULL, (struct in_addr){ INADDR_ANY }, text, n);
	free(text);
}

static void discovery_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct discovery *discovery = arg;
	int64_t now_us = reactor_monotonic_us();
	struct device *last;
	struct network_ear *ear;

	(void)fd, (void)what;
	while ((last = TAILQ_LAST(&discovery->devices, devices)) &&
		now_us - last->heard_us >= SILENT_US)
		device_remove(discovery, last);
	TAILQ_FOREACH (ear, &discovery->ears, entry)
		ear_probe(ear);
	if (!TAILQ_EMPTY(&discovery->ears))
		reactor_timer_start(discovery->timer, PROBE_US);
}

/* --- networks --- */

static bool set(int fd, int level, int option, const void *value, size_t n)
{
	return setsockopt(fd, level, option, value, (socklen_t)n) == 0;
}

/*
 * A socket for that network; in the group when it has the group's port, and then only what is sent to the group comes there: no question
 * from outside of the network. Returns -1 and errno.
 */
static int open_socket(const char *name, uint16_t port)
{
	struct sockaddr_in local = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = port ? inet_addr(DISCOVERY_GROUP) : htonl(INADDR_ANY) };
	struct ip_mreqn group = { .imr_multiaddr.s_addr = inet_addr(DISCOVERY_GROUP),
		.imr_ifindex = (int)if_nametoindex(name) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1, none = 0, error;

	if (fd < 0)
		return -1;
	if (group.imr_ifindex && set(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) &&
		set(fd, IPPROTO_IP, IP_MULTICAST_ALL, &none, sizeof(none)) &&
		set(fd, IPPROTO_IP, IP_MULTICAST_IF, &group, sizeof(group)) &&
		bind(fd, (struct sockaddr *)&local, sizeof(local)) == 0 &&
		(!port || set(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group))))
		return fd;
	error = group.imr_ifindex ? errno : ENODEV;
	close(fd);
	errno = error;
	return -1;
}

static void ear_free(struct network_ear *ear)
{
	TAILQ_REMOVE(&ear->discovery->ears, ear, entry);
	for (size_t i = 0; i < ARRAY_LENGTH(ear->fds); i++) {
		reactor_timer_free(&ear->reads[i]);
		if (ear->fds[i] >= 0)
			close(ear->fds[i]);
	}
	free(ear->name);
	free(ear);
}

static void ear_new(struct discovery *discovery, const char *name)
{
	struct network_ear *ear = xcalloc(1, sizeof(*ear));

	ear->discovery = discovery;
	ear->name = xstrdup(name);
	ear->way.name = ear->name;
	ear->way.log = (struct log_name){ .kind = "discovery", .name = ear->name };
	TAILQ_INSERT_TAIL(&discovery->ears, ear, entry);
	ear->way.fd = ear->fds[0] = open_socket(name, 0);
	ear->fds[1] = ear->fds[0] < 0 ? -1 : open_socket(name, DISCOVERY_PORT);
	if (ear->fds[1] < 0) {
		log_error(&ear->way.log, "no devices are found there: %s", strerror(errno));
		ear_free(ear);
		return;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(ear->fds); i++) {
		ear->reads[i] = event_new(
			reactor_base(), ear->fds[i], EV_READ | EV_PERSIST, ear_on_readable, ear);
		if (!ear->reads[i] || event_add(ear->reads[i], NULL) < 0)
			abort();
	}
}

/* --- files --- */

/* "porch-192-0-2-14.yaml": of what the device calls itself, and where it is. */
static void write_name(char ret[96], const struct device *device, const char *host)
{
	const char *name = device->said.name[0] ? device->said.name : device->said.hardware;
	size_t n = 0;

	for (; *name && n < 40; name++) {
		if (isalnum((unsigned char)*name))
			ret[n++] = (char)tolower((unsigned char)*name);
		else if (n && ret[n - 1] != '-')
			ret[n++] = '-';
	}
	if (n && ret[n - 1] != '-')
		ret[n++] = '-';
	for (; *host; host++)
		ret[n++] = *host == '.' ? '-' : *host;
	if (device->said.port == 80)
		snprintf(ret + n, 96 - n, ".yaml");
	else
		snprintf(ret + n, 96 - n, "-%u.yaml", device->said.port);
}

static void write_file(struct discovery_file *ret, const struct device *device)
{
	const struct discovery_device *said = &device->said;
	char host[INET_ADDRSTRLEN];

	(void)inet_ntop(AF_INET, &device->host, host, sizeof(host));
	write_name(ret->name, device, host);
	ret->seen_us = device->seen_us;
	ret->text = xasprintf("# name: %s\n# hardware: %s\n# profiles: %s\n"
			      "# Put user:password@ in front of the address.\n"
			      "source: \"onvif%s://%s:%u%s\"\n",
		said->name, said->hardware, said->profiles, said->tls ? "+https" : "", host,
		said->port, said->path);
}

static int compare_files(const void *a, const void *b)
{
	return strcmp(
		((const struct discovery_file *)a)->name, ((const struct discovery_file *)b)->name);
}

struct discovery_file *discovery_files(const struct discovery *discovery, size_t *n)
{
	struct discovery_file *files = xcalloc(discovery->n + 1, sizeof(*files));
	const struct device *device;

	*n = 0;
	TAILQ_FOREACH (device, &discovery->devices, entry)
		write_file(&files[(*n)++], device);
	qsort(files, *n, sizeof(*files), compare_files);
	return files;
}

void discovery_files_free(struct discovery_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(files[i].text);
	free(files);
}

/* --- life --- */

struct discovery *discovery_new(char *const interfaces[])
{
	struct discovery *discovery = xcalloc(1, sizeof(*discovery));

	TAILQ_INIT(&discovery->ears);
	TAILQ_INIT(&discovery->devices);
	discovery->timer = reactor_timer_new(discovery_on_timer, discovery);
	discovery->answers = discovery_answers_new();
	discovery->known = metric_get(METRIC_DISCOVERY_DEVICES);
	discovery->refused = metric_get(METRIC_DISCOVERY_REFUSED);
	discovery_apply(discovery, interfaces);
	return discovery;
}

static bool is_same(const struct discovery *discovery, char *const interfaces[])
{
	const struct network_ear *ear = TAILQ_FIRST(&discovery->ears);
	size_t i = 0;

	while (ear && interfaces && interfaces[i] && !strcmp(ear->name, interfaces[i])) {
		ear = TAILQ_NEXT(ear, entry);
		i++;
	}
	return !ear && !(interfaces && interfaces[i]);
}

static void discovery_say_hello(struct discovery *discovery)
{
	const struct network_ear *ear;

	TAILQ_FOREACH (ear, &discovery->ears, entry)
		discovery_answers_hello(discovery->answers, &ear->way);
}

static void discovery_say_bye(struct discovery *discovery)
{
	const struct network_ear *ear;

	TAILQ_FOREACH (ear, &discovery->ears, entry)
		discovery_answers_bye(discovery->answers, &ear->way);
}

void discovery_apply(struct discovery *discovery, char *const interfaces[])
{
	if (is_same(discovery, interfaces))
		return;
	discovery_say_bye(discovery);
	discovery_answers_clear(discovery->answers);
	while (!TAILQ_EMPTY(&discovery->ears))
		ear_free(TAILQ_FIRST(&discovery->ears));
	for (size_t i = 0; interfaces && interfaces[i]; i++)
		ear_new(discovery, interfaces[i]);
	discovery_say_hello(discovery);
	reactor_timer_start(discovery->timer, 0);
}

void discovery_announce(struct discovery *discovery, const struct discovery_self *selves, size_t n)
{
	if (discovery_answers_are(discovery->answers, selves, n))
		return;
	discovery_say_bye(discovery);
	discovery_answers_set(discovery->answers, selves, n);
	discovery_say_hello(discovery);
}

void discovery_free(struct discovery *discovery)
{
	if (!discovery)
		return;
	discovery_answers_clear(discovery->answers);
	while (!TAILQ_EMPTY(&discovery->ears))
		ear_free(TAILQ_FIRST(&discovery->ears));
	while (!TAILQ_EMPTY(&discovery->devices))
		device_remove(discovery, TAILQ_FIRST(&discovery->devices));
	discovery_answers_free(discovery->answers);
	reactor_timer_free(&discovery->timer);
	free(discovery);
}
