/* A client of plain sockets that runs the reactor while it waits. */
#include "tests/http_conversation.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cmocka.h>
#include <event2/event.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"

enum {
	LONGEST_US = 10 * 1000000
};

int http_connect(const char *address)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	const char *colon = strrchr(address, ':');
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_non_null(colon);
	to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

/* Sends what the pace allows now; a reset is the server's right after an answer. */
static size_t http_feed(int fd, const char *p, size_t n, enum http_conversation_pace pace)
{
	ssize_t sent = send(fd, p, pace == BYTE_BY_BYTE ? 1 : n, MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN)
		return n;
	return sent < 0 ? 0 : (size_t)sent;
}

char *http_conversation(const char *address, const char *request, size_t n,
	enum http_conversation_pace pace, size_t *answer_bytes)
{
	int fd = http_connect(address);
	size_t sent = 0, got = 0, size = 4096;
	char *answer = xmalloc(size);
	int64_t end_us = reactor_monotonic_us() + LONGEST_US;
	ssize_t r;

	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		if (sent < n) {
			sent += http_feed(fd, request + sent, n - sent, pace);
			if (sent == n && pace == HALF_CLOSED)
				(void)shutdown(fd, SHUT_WR);
		}
		for (int i = 0; i < 3; i++)
			(void)event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
		if (size - got < 65536)
			answer = xrealloc(answer, size *= 2);
		r = recv(fd, answer + got, size - got - 1, 0);
		if (r > 0)
			got += (size_t)r;
		else if (r == 0 || errno != EAGAIN)
			break;
		else if (sent == n)
			(void)poll(&wait, 1, 1);
		if (reactor_monotonic_us() > end_us)
			fail_msg("no end of the answer to: %.60s", request);
	}
	(void)close(fd);
	for (int i = 0; i < 5; i++) /* lets the server see that we have gone */
		(void)event_base_loop(reactor_base(), EVLOOP_NONBLOCK);
	answer[got] = '\0';
	if (answer_bytes)
		*answer_bytes = got;
	return answer;
}

char *http_say(const char *address, const char *request)
{
	return http_conversation(address, request, strlen(request), WHOLE, NULL);
}

static void http_add_user(struct auth_users *users, const char *name, const char *password,
	enum auth_role role, const char *camera)
{
	struct auth_user *user = auth_user_new(name);

	user->password = xstrdup(password);
	user->role = role;
	if (camera) {
		user->cameras = xcalloc(2, sizeof(*user->cameras));
		user->cameras[0] = xstrdup(camera);
	}
	TAILQ_INSERT_TAIL(users, user, entry);
}

void http_test_users_init(struct auth_users *users)
{
	TAILQ_INIT(users);
	http_add_user(users, "anna", "secret", ROLE_ADMIN, NULL);
	http_add_user(users, "nas", "p:w", ROLE_VIEWER, "porch");
}

void http_test_users_fini(struct auth_users *users)
{
	struct auth_user *user;

	while ((user = TAILQ_FIRST(users))) {
		TAILQ_REMOVE(users, user, entry);
		auth_user_free(user);
	}
}

const char *http_body_of(const char *answer)
{
	const char *end = strstr(answer, "\r\n\r\n");

	assert_non_null(end);
	return end + 4;
}

long http_unchunk(char *body)
{
	char *from = body, *to = body, *after;

	for (;;) {
		unsigned long n = strtoul(from, &after, 16);
		if (after == from || strncmp(after, "\r\n", 2) != 0)
			return -1;
		from = after + 2;
		if (n == 0)
			break;
		if (strlen(from) < n + 2)
			return -1;
		memmove(to, from, n);
		to += n;
		from += n + 2;
	}
	*to = '\0';
	return to - body;
}
