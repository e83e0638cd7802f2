/*
 * The floor for tests/bench: a minimal reader that pulls RTSP cameras over TCP with epoll and appends
 * what it reads to files, understanding nothing. Usage: floor FOLDER URL..., until SIGTERM.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	CAMERAS = 64,
	BLOCK_BYTES = 65536,
	ANSWER_BYTES = 8192
};

struct camera {
	int socket, file;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Sends one request and reads its answer, body included. */
static void ask(int fd, char answer[ANSWER_BYTES], const char *request)
{
	size_t n = 0;
	const char *end, *length;

	if (write(fd, request, strlen(request)) < 0)
		die("write");
	for (;;) {
		ssize_t got = read(fd, answer + n, ANSWER_BYTES - 1 - n);

		if (got <= 0)
			die("read");
		n += (size_t)got;
		answer[n] = '\0';
		end = strstr(answer, "\r\n\r\n");
		length = strcasestr(answer, "Content-Length:");
		if (end &&
			(!length || length > end ||
				n >= (size_t)(end + 4 - answer) + strtoul(length + 15, NULL, 10)))
			break;
	}
	if (strncmp(answer, "RTSP/1.0 200", 12)) {
		fputs(answer, stderr);
		exit(1);
	}
}

static int dial(const char *url)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const char *port = strrchr(url, ':');
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_port = htons((uint16_t)strtoul(port + 1, NULL, 10));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(url);
	return fd;
}

/* DESCRIBE, SETUP of every track that says a=control:stream=<n>, PLAY. */
static int play(const char *url)
{
	char answer[ANSWER_BYTES], request[1024], session[128] = "";
	int fd = dial(url), tracks = 0, sequence = 1;
	const char *at;

	snprintf(request, sizeof(request), "DESCRIBE %s RTSP/1.0\r\nCSeq: %d\r\n\r\n", url,
		sequence++);
	ask(fd, answer, request);
	for (at = answer; (at = strstr(at, "\nm=")); at++)
		tracks++;
	for (int i = 0; i < tracks; i++) {
		snprintf(request, sizeof(request),
			"SETUP %s/stream=%d RTSP/1.0\r\nCSeq: %d\r\n%s"
			"Transport: RTP/AVP/TCP;unicast;interleaved=%d-%d\r\n\r\n",
			url, i, sequence++, session, 2 * i, 2 * i + 1);
		ask(fd, answer, request);
		at = strcasestr(answer, "Session: ");
		if (at)
			snprintf(session, sizeof(session), "Session: %.*s\r\n",
				(int)strcspn(at + 9, ";\r"), at + 9);
	}
	snprintf(request, sizeof(request), "PLAY %s RTSP/1.0\r\nCSeq: %d\r\n%s\r\n", url, sequence,
		session);
	ask(fd, answer, request);
	return fd;
}

int main(int argc, char **argv)
{
	static struct camera cameras[CAMERAS];
	static char block[BLOCK_BYTES];
	struct epoll_event events[CAMERAS];
	int epoll = epoll_create1(0);

	for (int i = 0; i + 2 < argc && i < CAMERAS; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &cameras[i] };
		char path[1024];

		snprintf(path, sizeof(path), "%s/%d.raw", argv[1], i);
		cameras[i].file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
		cameras[i].socket = play(argv[i + 2]);
		if (cameras[i].file < 0 ||
			epoll_ctl(epoll, EPOLL_CTL_ADD, cameras[i].socket, &event) < 0)
			die(path);
	}
	for (;;) {
		int ready = epoll_wait(epoll, events, CAMERAS, -1);

		for (int i = 0; i < ready; i++) {
			struct camera *camera = events[i].data.ptr;
			ssize_t n = read(camera->socket, block, sizeof(block));

			if (n <= 0)
				return 0;
			if (write(camera->file, block, (size_t)n) != n)
				die("write");
		}
	}
}
