/* DTLS with use_srtp by OpenSSL, datagram by datagram. */
#include "protocols/dtls.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "server/base/certificate.h"
#include "server/base/memory.h"

enum {
	DIGEST_HEX_BYTES = 3 * EVP_MAX_MD_SIZE,
	CONTENT_FIRST = 20, /* RFC 7983 */
	CONTENT_LAST = 63,
	MATERIAL_BYTES = 2 * (RTP_SECURITY_KEY_BYTES + RTP_SECURITY_SALT_BYTES),
};

static SSL_CTX *context;
static BIO_METHOD *method;
static char own_fingerprint[DIGEST_HEX_BYTES];

struct dtls {
	SSL *ssl;
	void (*send)(void *arg, const uint8_t *p, size_t n);
	void *arg;
	const uint8_t *received; /* one datagram, until it is read; or NULL */
	size_t received_bytes;
	const EVP_MD *hash;
	char *fingerprint;
	bool is_open;
	const char *failure;
};

/* --- the transport: a datagram at a time, both ways --- */

static int transport_write(BIO *bio, const char *p, int n)
{
	struct dtls *dtls = BIO_get_data(bio);

	dtls->send(dtls->arg, (const uint8_t *)p, (size_t)n);
	return n;
}

static int transport_read(BIO *bio, char *p, int size)
{
	struct dtls *dtls = BIO_get_data(bio);
	size_t n = dtls->received_bytes;

	BIO_clear_retry_flags(bio);
	if (!dtls->received) {
		BIO_set_retry_read(bio);
		return -1;
	}
	if (n > (size_t)size)
		n = (size_t)size;
	memcpy(p, dtls->received, n);
	dtls->received = NULL;
	return (int)n;
}

static long transport_control(BIO *bio, int what, long number, void *p)
{
	(void)bio, (void)number, (void)p;
	switch (what) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_DGRAM_QUERY_MTU:
	case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
		return DTLS_DATAGRAM_BYTES;
	default:
		return 0;
	}
}

static BIO *transport_new(struct dtls *dtls)
{
	BIO *bio = BIO_new(method);

	if (!bio)
		abort();
	BIO_set_data(bio, dtls);
	BIO_set_init(bio, 1);
	return bio;
}

/* --- the process' certificate --- */

static void write_fingerprint(
	char ret[DIGEST_HEX_BYTES], const X509 *certificate, const EVP_MD *hash)
{
	static const char digits[] = "0123456789ABCDEF";
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	char *at = ret;

	if (!X509_digest(certificate, hash, digest, &n))
		abort();
	for (unsigned i = 0; i < n; i++) {
		*at++ = digits[digest[i] >> 4];
		*at++ = digits[digest[i] & 15];
		*at++ = ':';
	}
	at[-1] = '\0';
}

/* Whose certificate it is its fingerprint tells, once hands are shaken. */
static int accept_any(int is_good, X509_STORE_CTX *store)
{
	(void)is_good, (void)store;
	return 1;
}

static void use_certificate(void)
{
	size_t n;
	char *text = certificate_make(&n);
	BIO *in = BIO_new_mem_buf(text, (int)n);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	X509 *certificate = PEM_read_bio_X509(in, NULL, NULL, NULL);

	if (!key || !certificate || !SSL_CTX_use_certificate(context, certificate) ||
		!SSL_CTX_use_PrivateKey(context, key))
		abort();
	write_fingerprint(own_fingerprint, certificate, EVP_sha256());
	X509_free(certificate);
	EVP_PKEY_free(key);
	BIO_free(in);
	memory_free_secret(text);
}

void dtls_init(void)
{
	const char *profiles = rtp_security_has_gcm()
				       ? "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80"
				       : "SRTP_AES128_CM_SHA1_80";

	context = SSL_CTX_new(DTLS_server_method());
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "datagrams");
	if (!context || !method || !BIO_meth_set_write(method, transport_write) ||
		!BIO_meth_set_read(method, transport_read) ||
		!BIO_meth_set_ctrl(method, transport_control) ||
		!SSL_CTX_set_min_proto_version(context, DTLS1_2_VERSION) ||
		SSL_CTX_set_tlsext_use_srtp(context, profiles) != 0)
		abort();
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
	SSL_CTX_set_options(
		context, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(context, 1);
	use_certificate();
}

void dtls_fini(void)
{
	SSL_CTX_free(context);
	BIO_meth_free(method);
	context = NULL;
	method = NULL;
}

const char *dtls_fingerprint(void)
{
	return own_fingerprint;
}

/* --- a session --- */

bool dtls_is(const uint8_t *p, size_t n)
{
	return n > 0 && p[0] >= CONTENT_FIRST && p[0] <= CONTENT_LAST;
}

/* RFC 8122 section 5; what is weaker is not taken. */
static const EVP_MD *find_hash(const char *name)
{
	if (strcasecmp(name, "sha-256") == 0)
		return EVP_sha256();
	if (strcasecmp(name, "sha-384") == 0)
		return EVP_sha384();
	return strcasecmp(name, "sha-512") == 0 ? EVP_sha512() : NULL;
}

struct dtls *dtls_new(const char *hash, const char *fingerprint,
	void (*send)(void *arg, const uint8_t *p, size_t n), void *arg)
{
	const EVP_MD *digest = find_hash(hash);
	struct dtls *dtls;

	if (!digest || strlen(fingerprint) != 3 * (size_t)EVP_MD_get_size(digest) - 1)
		return NULL;
	dtls = xcalloc(1, sizeof(*dtls));
	dtls->hash = digest;
	dtls->fingerprint = xstrdup(fingerprint);
	dtls->send = send;
	dtls->arg = arg;
	dtls->ssl = SSL_new(context);
	if (!dtls->ssl)
		abort();
	BIO *transport = transport_new(dtls);
	SSL_set_bio(dtls->ssl, transport, transport);
	(void)SSL_set_mtu(dtls->ssl, DTLS_DATAGRAM_BYTES);
	SSL_set_accept_state(dtls->ssl);
	return dtls;
}

void dtls_free(struct dtls *dtls)
{
	if (!dtls)
		return;
	SSL_free(dtls->ssl);
	free(dtls->fingerprint);
	free(dtls);
}

static enum dtls_event dtls_fail(struct dtls *dtls, const char *why)
{
	dtls->failure = why;
	return DTLS_FAILED;
}

/* What OpenSSL says is wrong; static. */
static const char *dtls_reason(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	return reason ? reason : "the handshake failed";
}

static enum dtls_event dtls_opened(struct dtls *dtls)
{
	char fingerprint[DIGEST_HEX_BYTES];
	const X509 *certificate = SSL_get0_peer_certificate(dtls->ssl);

	if (!certificate)
		return dtls_fail(dtls, "the peer showed no certificate");
	write_fingerprint(fingerprint, certificate, dtls->hash);
	if (strcasecmp(fingerprint, dtls->fingerprint) != 0)
		return dtls_fail(dtls, "the peer's certificate is not that of the offer");
	dtls->is_open = true;
	return DTLS_OPEN;
}

/* What became of a call that returned `result`, which was not what was wanted. */
static enum dtls_event dtls_look(struct dtls *dtls, int result)
{
	switch (SSL_get_error(dtls->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return DTLS_MORE;
	case SSL_ERROR_ZERO_RETURN:
		return DTLS_CLOSED;
	default:
		return dtls_fail(dtls, dtls_reason());
	}
}

static enum dtls_event dtls_shake(struct dtls *dtls)
{
	int result = SSL_do_handshake(dtls->ssl);

	return result == 1 ? dtls_opened(dtls) : dtls_look(dtls, result);
}

/* Data channels are not offered: what is in there is dropped. */
static enum dtls_event dtls_drop(struct dtls *dtls)
{
	uint8_t bytes[256];
	int n;

	while ((n = SSL_read(dtls->ssl, bytes, sizeof(bytes))) > 0)
		;
	return dtls_look(dtls, n);
}

enum dtls_event dtls_receive(struct dtls *dtls, const uint8_t *p, size_t n)
{
	enum dtls_event event;

	ERR_clear_error();
	dtls->received = p;
	dtls->received_bytes = n;
	event = dtls->is_open ? dtls_drop(dtls) : dtls_shake(dtls);
	dtls->received = NULL;
	return event;
}

int64_t dtls_timeout_us(struct dtls *dtls)
{
	struct timeval left;

	if (dtls->is_open || DTLSv1_get_timeout(dtls->ssl, &left) != 1)
		return -1;
	return left.tv_sec * INT64_C(1000000) + left.tv_usec;
}

enum dtls_event dtls_on_timeout(struct dtls *dtls)
{
	ERR_clear_error();
	return DTLSv1_handle_timeout(dtls->ssl) < 0 ? dtls_fail(dtls, "the peer does not answer")
						    : DTLS_MORE;
}

const char *dtls_failure(const struct dtls *dtls)
{
	return dtls->failure;
}

void dtls_close(struct dtls *dtls)
{
	ERR_clear_error();
	if (dtls->is_open)
		(void)SSL_shutdown(dtls->ssl);
}

struct rtp_security *dtls_security(struct dtls *dtls)
{
	static const char label[] = "EXTRACTOR-dtls_srtp"; /* RFC 5764 section 4.2 */
	const SRTP_PROTECTION_PROFILE *chosen = SSL_get_selected_srtp_profile(dtls->ssl);
	uint8_t material[MATERIAL_BYTES], client[RTP_SECURITY_KEY_BYTES + RTP_SECURITY_SALT_BYTES],
		server[RTP_SECURITY_KEY_BYTES + RTP_SECURITY_SALT_BYTES];

	if (!chosen)
		return NULL;
	enum rtp_security_profile profile = chosen->id == SRTP_AEAD_AES_128_GCM
						    ? RTP_SECURITY_AES128_GCM
						    : RTP_SECURITY_AES128_SHA1_80;
	size_t salt = rtp_security_salt_bytes(profile);
	if (SSL_export_keying_material(dtls->ssl, material, 2 * (RTP_SECURITY_KEY_BYTES + salt),
		    label, sizeof(label) - 1, NULL, 0, 0) != 1)
		return NULL;
	const uint8_t *salts = material + 2 * (size_t)RTP_SECURITY_KEY_BYTES;
	memcpy(client, material, RTP_SECURITY_KEY_BYTES);
	memcpy(server, material + RTP_SECURITY_KEY_BYTES, RTP_SECURITY_KEY_BYTES);
	memcpy(client + RTP_SECURITY_KEY_BYTES, salts, salt);
	memcpy(server + RTP_SECURITY_KEY_BYTES, salts + salt, salt);
	struct rtp_security *srtp = rtp_security_new(profile, server, client);
	OPENSSL_cleanse(material, sizeof(material));
	OPENSSL_cleanse(client, sizeof(client));
	OPENSSL_cleanse(server, sizeof(server));
	return srtp;
}
