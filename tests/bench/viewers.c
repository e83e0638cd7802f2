/*
 * Many viewers of one WHEP resource, in one process: each makes its session, its ICE check and its DTLS handshake as a browser does, then
 * counts what comes. SRTP is not decrypted: what a viewer misses shows in the sequence numbers.
 * Usage: viewers ADDRESS PORT PATH VIEWERS SECONDS; prints "ready" when all of them watch, then "PACKETS BYTES LOST" of the seconds after that.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "protocols/stun.h"

enum {
	TEXT_BYTES = 16384,
	FINGERPRINT_BYTES = 96,
	NAME_BYTES = 256,
	DATAGRAM_BYTES = 2048,
	BATCH = 64, /* datagrams taken at once */
	EVENTS = 256,
	RECEIVE_BYTES = 4 << 20,
	CANDIDATE_PORT = 6, /* the field of a candidate (RFC 8839 section 5.1) */
	CHECK_S = 5,        /* between ICE checks */
	STUN_USERNAME = 0x0006,
	STUN_PRIORITY = 0x0024,
	STUN_USE_CANDIDATE = 0x0025,
	STUN_ICE_CONTROLLING = 0x802a
};

struct viewer {
	int fd;
	SSL *ssl;
	char user[NAME_BYTES], password[NAME_BYTES]; /* of the ICE checks: theirs */
	uint16_t next;                               /* sequence number of the pictures */
	int has_next;
};

static unsigned long long packets, bytes, lost;
static char fingerprint[FINGERPRINT_BYTES];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- DTLS --- */

/* The server asks for our certificate, and knows its fingerprint. */
static int accept_any(int ok, X509_STORE_CTX *store)
{
	(void)ok, (void)store;
	return 1;
}

static SSL_CTX *make_context(void)
{
	SSL_CTX *context = SSL_CTX_new(DTLS_client_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned n;

	if (!context || !key || !certificate)
		die("OpenSSL");
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_set_pubkey(certificate, key);
	if (!X509_sign(certificate, key, EVP_sha256()) ||
		SSL_CTX_use_certificate(context, certificate) != 1 ||
		SSL_CTX_use_PrivateKey(context, key) != 1 ||
		SSL_CTX_set_tlsext_use_srtp(
			context, "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80") != 0 ||
		X509_digest(certificate, EVP_sha256(), hash, &n) != 1)
		die("OpenSSL");
	for (unsigned i = 0; i < n; i++)
		sprintf(fingerprint + 3 * i, i + 1 < n ? "%02X:" : "%02X", hash[i]);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, accept_any);
	return context;
}

static void shake_hands(struct viewer *v, SSL_CTX *context, struct sockaddr_in *peer)
{
	BIO *bio = BIO_new_dgram(v->fd, BIO_NOCLOSE);

	BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_CONNECTED, 0, peer);
	v->ssl = SSL_new(context);
	SSL_set_bio(v->ssl, bio, bio);
	if (SSL_connect(v->ssl) != 1 || !SSL_get_selected_srtp_profile(v->ssl))
		die("the DTLS handshake");
}

/* --- WHEP --- */

static int dial(const struct sockaddr_in *address, int type)
{
	int fd = socket(AF_INET, type, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		die("connect");
	return fd;
}

/* Copies what stands behind `name` up to the end of its line. */
static void take_line(char ret[NAME_BYTES], const char *text, const char *name)
{
	const char *at = strstr(text, name);

	if (!at) {
		fprintf(stderr, "no %s in %s\n", name, text);
		exit(1);
	}
	at += strlen(name);
	(void)snprintf(ret, NAME_BYTES, "%.*s", (int)strcspn(at, "\r\n"), at);
}

/* Makes a session; the answer's text. */
static void offer(char answer[TEXT_BYTES], const struct sockaddr_in *server, const char *path)
{
	char sdp[TEXT_BYTES / 4], request[TEXT_BYTES / 2];
	size_t n = 0;
	int fd = dial(server, SOCK_STREAM);
	int length = snprintf(sdp, sizeof(sdp),
		"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
		"m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n"
		"a=ice-ufrag:view\r\na=ice-pwd:viewviewviewviewviewview\r\na=setup:active\r\na=fingerprint:sha-256 %s\r\n"
		"a=rtpmap:96 H264/90000\r\na=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640033\r\n",
		fingerprint);
	int whole = snprintf(request, sizeof(request),
		"POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
		path, length, sdp);

	if (write(fd, request, (size_t)whole) != whole)
		die("write");
	for (ssize_t r; (r = read(fd, answer + n, TEXT_BYTES - 1 - n)) > 0;)
		n += (size_t)r;
	answer[n] = '\0';
	close(fd);
	if (strncmp(answer, "HTTP/1.1 201 ", 13) != 0) {
		fputs(answer, stderr);
		exit(1);
	}
}

/* --- ICE --- */

static size_t add_attribute(uint8_t *p, size_t n, unsigned type, const void *value, size_t size)
{
	p[n] = (uint8_t)(type >> 8);
	p[n + 1] = (uint8_t)type;
	p[n + 2] = (uint8_t)(size >> 8);
	p[n + 3] = (uint8_t)size;
	memcpy(p + n + 4, value, size);
	memset(p + n + 4 + size, 0, -size & 3);
	return n + 4 + ((size + 3) & ~(size_t)3);
}

static void send_check(const struct viewer *v)
{
	static const uint8_t head[STUN_HEADER_BYTES] = { 0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 'v',
		'i', 'e', 'w' };
	uint8_t p[STUN_ANSWER_BYTES];
	size_t n = sizeof(head);

	memcpy(p, head, n);
	n = add_attribute(p, n, STUN_USERNAME, v->user, strlen(v->user));
	n = add_attribute(p, n, STUN_PRIORITY, "\x7e\xff\xff\xff", 4);
	n = add_attribute(p, n, STUN_ICE_CONTROLLING, "viewview", 8);
	n = add_attribute(p, n, STUN_USE_CANDIDATE, "", 0);
	n = stun_seal(p, n, v->password);
	if (send(v->fd, p, n, 0) < 0)
		die("an ICE check");
}

/* --- what comes --- */

static void take(struct viewer *v, const uint8_t *p, size_t n)
{
	uint16_t sequence;

	if (n < 12 || p[0] >> 6 != 2 || (p[1] & 0x7f) != 96)
		return; /* STUN, DTLS, SRTCP */
	packets++;
	bytes += n;
	sequence = (uint16_t)(p[2] << 8 | p[3]);
	if (v->has_next && (int16_t)(sequence - v->next) < 0)
		return;
	if (v->has_next)
		lost += (uint16_t)(sequence - v->next);
	v->next = (uint16_t)(sequence + 1);
	v->has_next = 1;
}

/* Everything that waits in a socket. */
static void drain(struct viewer *v)
{
	static uint8_t blocks[BATCH][DATAGRAM_BYTES];
	static struct iovec parts[BATCH];
	static struct mmsghdr messages[BATCH];
	int n;

	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){ blocks[i], DATAGRAM_BYTES };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
	}
	do {
		n = recvmmsg(v->fd, messages, BATCH, MSG_DONTWAIT, NULL);
		for (int i = 0; i < n; i++)
			take(v, blocks[i], messages[i].msg_len);
	} while (n == BATCH);
}

static void run(int epoll, struct viewer *viewers, size_t n, double seconds)
{
	struct epoll_event events[EVENTS];
	double end = seconds_now() + seconds, check = 0;

	do {
		int ready = epoll_wait(epoll, events, EVENTS, 100);

		for (int i = 0; i < ready; i++)
			drain(events[i].data.ptr);
		if (seconds > 0 && seconds_now() > check) {
			for (size_t i = 0; i < n; i++)
				send_check(&viewers[i]);
			check = seconds_now() + CHECK_S;
		}
	} while (seconds_now() < end);
}

static void watch(struct viewer *v, SSL_CTX *context, struct sockaddr_in server, const char *path)
{
	char answer[TEXT_BYTES], ufrag[NAME_BYTES], candidate[NAME_BYTES];
	uint8_t said[DATAGRAM_BYTES];
	int room = RECEIVE_BYTES;
	const char *at = candidate;

	offer(answer, &server, path);
	take_line(ufrag, answer, "a=ice-ufrag:");
	take_line(v->password, answer, "a=ice-pwd:");
	take_line(candidate, answer,
		"a=candidate:"); /* foundation component transport priority address port */
	for (int field = 1; field < CANDIDATE_PORT && *at; field++)
		at += strcspn(at, " ") + 1;
	(void)snprintf(v->user, sizeof(v->user), "%.32s:view", ufrag);
	server.sin_port = htons((uint16_t)strtoul(at, NULL, 10));
	v->fd = dial(&server, SOCK_DGRAM);
	if (setsockopt(v->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		(void)setsockopt(v->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	send_check(v);
	if (recv(v->fd, said, sizeof(said), 0) < STUN_HEADER_BYTES || said[0] != 1 || said[1] != 1)
		die("the ICE check was refused");
	shake_hands(v, context, &server);
}

int main(int argc, char **argv)
{
	struct sockaddr_in server = { .sin_family = AF_INET };
	struct rlimit files;
	int epoll = epoll_create1(0);

	if (argc != 6 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1)
		die("usage: viewers ADDRESS PORT PATH VIEWERS SECONDS");
	server.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	SSL_CTX *context = make_context();
	size_t n = strtoul(argv[4], NULL, 10);
	struct viewer *viewers = calloc(n, sizeof(*viewers));

	if (!viewers)
		die("memory");
	for (size_t i = 0; i < n; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &viewers[i] };

		watch(&viewers[i], context, server, argv[3]);
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, viewers[i].fd, &event) < 0)
			die("epoll");
		run(epoll, viewers, i + 1, 0); /* the ones before go on */
	}
	run(epoll, viewers, n, 2);
	packets = bytes = lost = 0;
	printf("ready\n");
	fflush(stdout);
	run(epoll, viewers, n, strtod(argv[5], NULL));
	printf("%llu %llu %llu\n", packets, bytes, lost);
	return 0;
}
