/* TLS by OpenSSL: one context for modern peers, one for old ones, made when first needed. */
#include "server/base/tls.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <openssl/err.h>
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

void tls_shutdown(SSL *ssl)
{
	(void)SSL_shutdown(ssl);
}
