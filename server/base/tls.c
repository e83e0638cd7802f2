/*
 * TLS by OpenSSL. For connections that nvrd makes: one context for modern peers, one for old ones, made
 * when first needed. For those that it accepts: a context per certificate.
 */
#include "server/base/tls.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "server/base/memory.h"

enum {
	FINGERPRINT_BYTES = 32
};

static SSL_CTX *tls_context_new(bool legacy)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (!context)
		abort();
	(void)SSL_CTX_set_default_verify_paths(context);
	(void)SSL_CTX_set_min_proto_version(context, legacy ? TLS1_VERSION : TLS1_2_VERSION);
	if (legacy) {
		SSL_CTX_set_security_level(context, 0);
		(void)SSL_CTX_set_cipher_list(context, "ALL:!aNULL:!eNULL");
		(void)SSL_CTX_set_options(
			context, SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_IGNORE_UNEXPECTED_EOF);
	}
	(void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	return context;
}

static SSL_CTX *tls_context(bool legacy)
{
	static SSL_CTX *contexts[2];

	if (!contexts[legacy])
		contexts[legacy] = tls_context_new(legacy);
	return contexts[legacy];
}

static bool tls_is_address(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

SSL *tls_client_new(const struct tls_client *client, const char *host)
{
	SSL *ssl = SSL_new(tls_context(client->legacy));
	bool verify = client->verify && !client->fingerprint;

	if (!ssl)
		abort();
	SSL_set_verify(ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (tls_is_address(host)) {
		(void)X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
	} else {
		char *name = xstrdup(host); /* OpenSSL's macro takes no const */

		(void)SSL_set1_host(ssl, host);
		(void)SSL_set_tlsext_host_name(ssl, name);
		free(name);
	}
	return ssl;
}

static int hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* "sha256:AB:CD…" to bytes; the configuration has checked its shape. */
static void tls_parse_fingerprint(const char *text, uint8_t ret[FINGERPRINT_BYTES])
{
	size_t n = 0;

	memset(ret, 0, FINGERPRINT_BYTES);
	text = strchr(text, ':');
	for (; text && *text && n < 2 * FINGERPRINT_BYTES; text++) {
		if (!isxdigit((unsigned char)*text))
			continue;
		ret[n / 2] = (uint8_t)(ret[n / 2] << 4 | hex_digit(*text));
		n++;
	}
}

const char *tls_client_check(const struct tls_client *client, const SSL *ssl)
{
	uint8_t wanted[FINGERPRINT_BYTES], seen[EVP_MAX_MD_SIZE];
	const X509 *certificate = SSL_get0_peer_certificate(ssl);
	unsigned n = 0;

	if (!client->fingerprint)
		return NULL;
	tls_parse_fingerprint(client->fingerprint, wanted);
	if (!certificate || !X509_digest(certificate, EVP_sha256(), seen, &n) ||
		n != FINGERPRINT_BYTES || memcmp(wanted, seen, FINGERPRINT_BYTES) != 0)
		return "the certificate's fingerprint is another";
	return NULL;
}

bool tls_is_untrusted(const SSL *ssl)
{
	return SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE &&
	       SSL_get_verify_result(ssl) != X509_V_OK;
}

const char *tls_failure(const SSL *ssl, unsigned long error)
{
	const char *why = tls_is_untrusted(ssl)
				  ? X509_verify_cert_error_string(SSL_get_verify_result(ssl))
				  : ERR_reason_error_string(error);

	return why ? why : "the TLS handshake failed";
}

/* --- what we show --- */

struct tls_server {
	SSL_CTX *context;
};

/* Nobody is there to be asked. */
static int tls_no_passphrase(char *buffer, int size, int writing, void *arg)
{
	(void)buffer, (void)size, (void)writing, (void)arg;
	return -1;
}

/* Takes one of the protocols that the session offers. */
static int tls_on_protocols(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_bytes,
	const unsigned char *theirs, unsigned theirs_bytes, void *arg)
{
	const unsigned char *ours = SSL_get_app_data(ssl);
	unsigned char *found;

	(void)arg;
	if (!ours || SSL_select_next_proto(&found, chosen_bytes, ours,
			     (unsigned)strlen((const char *)ours), theirs,
			     theirs_bytes) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*chosen = found;
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *tls_server_context(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (!context)
		abort();
	(void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	/* of TLS 1.2 only what keeps yesterday's records secret; of TLS 1.3 all does */
	(void)SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
	(void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION |
						   SSL_OP_CIPHER_SERVER_PREFERENCE |
						   SSL_OP_PRIORITIZE_CHACHA);
	(void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	/* resumption is by tickets, which the peers keep */
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_alpn_select_cb(context, tls_on_protocols, NULL);
	return context;
}

/* The certificate and its chain. Returns NULL, or what is wrong, static. */
static const char *tls_use_certificates(SSL_CTX *context, BIO *from)
{
	X509 *certificate = PEM_read_bio_X509_AUX(from, NULL, tls_no_passphrase, NULL);

	if (!certificate)
		return "holds no certificate in PEM";
	bool used = SSL_CTX_use_certificate(context, certificate) == 1;
	X509_free(certificate);
	if (!used) {
		const char *why = ERR_reason_error_string(ERR_peek_last_error());
		return why ? why : "holds a certificate that cannot be used";
	}
	while ((certificate = PEM_read_bio_X509(from, NULL, tls_no_passphrase, NULL))) {
		if (SSL_CTX_add0_chain_cert(context, certificate) != 1)
			abort();
	}
	unsigned long end = ERR_peek_last_error();
	return ERR_GET_LIB(end) == ERR_LIB_PEM && ERR_GET_REASON(end) == PEM_R_NO_START_LINE
		       ? NULL
		       : "holds something broken after the certificate";
}

static const char *tls_use_key(SSL_CTX *context, BIO *from)
{
	EVP_PKEY *key = PEM_read_bio_PrivateKey(from, NULL, tls_no_passphrase, NULL);

	if (!key)
		return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_BAD_PASSWORD_READ
			       ? "holds a key with a passphrase; take that off"
			       : "holds no key in PEM";
	/* a key of another kind would only be put beside the certificate */
	bool used = SSL_CTX_use_PrivateKey(context, key) == 1 &&
		    SSL_CTX_check_private_key(context) == 1;
	EVP_PKEY_free(key);
	return used ? NULL : "holds the key of another certificate";
}

/* Where a certificate or a key comes from. */
struct tls_pem {
	const char *name;
	BIO *bio; /* NULL: could not be opened */
};

static struct tls_server *tls_server_read(
	const struct tls_pem *certificate, const struct tls_pem *key, char **why)
{
	const struct tls_pem *at = certificate;
	struct tls_server *server = NULL;
	SSL_CTX *context = tls_server_context();
	const char *wrong;

	ERR_clear_error();
	wrong = tls_use_certificates(context, certificate->bio);
	ERR_clear_error();
	if (!wrong) {
		at = key;
		wrong = tls_use_key(context, key->bio);
		ERR_clear_error();
	}
	if (wrong) {
		SSL_CTX_free(context);
		*why = xasprintf("%s: %s", at->name, wrong);
		return NULL;
	}
	server = xcalloc(1, sizeof(*server));
	server->context = context;
	return server;
}

static bool tls_open(struct tls_pem *pem, const char *name, char **why)
{
	int fd =
		open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO must not hang */
	struct stat st;
	FILE *file;

	*pem = (struct tls_pem){ .name = name };
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !(file = fdopen(fd, "r"))) {
		*why = fd < 0 ? xasprintf("%s: %m", name)
			      : xasprintf("%s: is not a regular file", name);
		if (fd >= 0)
			(void)close(fd);
		return false;
	}
	pem->bio = BIO_new_fp(file, BIO_CLOSE);
	if (!pem->bio)
		abort();
	return true;
}

struct tls_server *tls_server_load(const char *certificate, const char *key, char **why)
{
	struct tls_pem one, two;
	struct tls_server *server = NULL;

	if (tls_open(&one, certificate, why)) {
		if (tls_open(&two, key, why)) {
			server = tls_server_read(&one, &two, why);
			BIO_free(two.bio);
		}
		BIO_free(one.bio);
	}
	return server;
}

struct tls_server *tls_server_parse(const char *name, const char *pem, size_t n, char **why)
{
	struct tls_pem one = { name, BIO_new_mem_buf(pem, (int)n) };
	struct tls_pem two = { name, BIO_new_mem_buf(pem, (int)n) };
	struct tls_server *server;

	if (!one.bio || !two.bio)
		abort();
	server = tls_server_read(&one, &two, why);
	BIO_free(one.bio);
	BIO_free(two.bio);
	return server;
}

void tls_server_replace(struct tls_server *server, struct tls_server *with)
{
	SSL_CTX_free(server->context); /* sessions hold it for themselves */
	server->context = with->context;
	free(with);
}

void tls_server_free(struct tls_server *server)
{
	if (!server)
		return;
	SSL_CTX_free(server->context);
	free(server);
}

const char *tls_server_fingerprint(const struct tls_server *server, char ret[TLS_FINGERPRINT_BYTES])
{
	const X509 *certificate = SSL_CTX_get0_certificate(server->context);
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	int at;

	if (!X509_digest(certificate, EVP_sha256(), digest, &n))
		abort();
	at = snprintf(ret, TLS_FINGERPRINT_BYTES, "sha256");
	for (unsigned i = 0; i < n; i++)
		at += snprintf(ret + at, TLS_FINGERPRINT_BYTES - (size_t)at, ":%02X", digest[i]);
	return ret;
}

int64_t tls_server_until_us(const struct tls_server *server)
{
	const X509 *certificate = SSL_CTX_get0_certificate(server->context);
	struct tm until;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &until) != 1)
		return 0;
	return (int64_t)timegm(&until) * 1000000;
}

SSL *tls_server_session(const struct tls_server *server)
{
	SSL *ssl = SSL_new(server->context);

	if (!ssl)
		abort();
	return ssl;
}

void tls_offer(SSL *ssl, const char *protocols)
{
	void *kept;

	memcpy(&kept, &protocols, sizeof(kept)); /* OpenSSL takes no const; it is only read */
	(void)SSL_set_app_data(ssl, kept);
}

bool tls_speaks(const SSL *ssl, const char *protocol)
{
	const unsigned char *chosen;
	unsigned n;

	SSL_get0_alpn_selected(ssl, &chosen, &n);
	return n == strlen(protocol) && memcmp(chosen, protocol, n) == 0;
}

/* --- sessions of both kinds --- */

bool tls_shutdown(SSL *ssl)
{
	int n = SSL_shutdown(ssl);
	bool full = n < 0 && SSL_get_error(ssl, n) == SSL_ERROR_WANT_WRITE;

	ERR_clear_error(); /* of a handshake that was not over */
	return !full;
}

void tls_withhold_tickets(SSL *ssl)
{
	(void)SSL_set_num_tickets(ssl, 0);
}

bool tls_is_ended(const SSL *ssl)
{
	return (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
}

bool tls_has_pending(const SSL *ssl)
{
	return SSL_pending(ssl) > 0;
}

bool tls_is_cut(unsigned long error)
{
	return ERR_GET_LIB(error) == ERR_LIB_SSL &&
	       ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
}

bool tls_peer_has_shut(SSL *ssl)
{
	char byte;
	int n = SSL_peek(ssl, &byte, 1);
	bool shut = n <= 0 && SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ &&
		    SSL_get_error(ssl, n) != SSL_ERROR_WANT_WRITE;

	ERR_clear_error();
	return shut;
}
