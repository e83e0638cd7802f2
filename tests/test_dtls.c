/* DTLS-SRTP against OpenSSL's own client: who is believed, and which keys come out. */
#include "protocols/dtls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "protocols/rtp_security.h"
#include "server/base/certificate.h"
#include "server/base/memory.h"

enum {
	DATAGRAMS = 64,
	MOST_BYTES = 1500,
	ROUNDS = 200
};

/* What goes from us to the client. */
static struct {
	uint8_t bytes[MOST_BYTES];
	size_t n;
} sent[DATAGRAMS];
static size_t n_sent, largest;

/* The client, whose datagrams go through memory. */
static SSL_CTX *context;
static SSL *client;
static BIO *to_client, *from_client;
static char fingerprint[3 * EVP_MAX_MD_SIZE];

static void on_send(void *arg, const uint8_t *p, size_t n)
{
	(void)arg;
	assert_true(n_sent < DATAGRAMS && n <= MOST_BYTES);
	memcpy(sent[n_sent].bytes, p, n);
	sent[n_sent++].n = n;
	if (n > largest)
		largest = n;
}

static void client_use_certificate(void)
{
	size_t n;
	char *text = certificate_make(&n);
	BIO *in = BIO_new_mem_buf(text, (int)n);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	X509 *certificate = PEM_read_bio_X509(in, NULL, NULL, NULL);
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned bytes;

	assert_int_equal(SSL_CTX_use_certificate(context, certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
	assert_int_equal(X509_digest(certificate, EVP_sha256(), digest, &bytes), 1);
	for (unsigned i = 0; i < bytes; i++)
		(void)sprintf(fingerprint + 3 * (size_t)i, "%02x:", digest[i]);
	fingerprint[3 * bytes - 1] = '\0';
	X509_free(certificate);
	EVP_PKEY_free(key);
	BIO_free(in);
	memory_free_secret(text);
}

/* `profiles` as OpenSSL names them, or NULL: without SRTP. */
static void client_new(const char *profiles, bool with_certificate)
{
	context = SSL_CTX_new(DTLS_client_method());
	SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
	if (with_certificate)
		client_use_certificate();
	if (profiles)
		assert_int_equal(SSL_CTX_set_tlsext_use_srtp(context, profiles), 0);
	client = SSL_new(context);
	to_client = BIO_new(BIO_s_mem());
	from_client = BIO_new(BIO_s_mem());
	BIO_set_mem_eof_return(to_client, -1);
	SSL_set_options(client, SSL_OP_NO_QUERY_MTU);
	assert_true(SSL_set_mtu(client, 16000) > 0); /* a flight is one datagram */
	SSL_set_bio(client, to_client, from_client);
	SSL_set_connect_state(client);
}

static void client_free(void)
{
	SSL_free(client);
	SSL_CTX_free(context);
}

static enum dtls_event give_to_server(struct dtls *dtls)
{
	static uint8_t bytes[16384];
	int n = BIO_read(from_client, bytes, sizeof(bytes));

	return n > 0 ? dtls_receive(dtls, bytes, (size_t)n) : DTLS_MORE;
}

/* Shakes hands until both have, or it ends otherwise. */
static enum dtls_event shake(struct dtls *dtls)
{
	enum dtls_event event = DTLS_MORE;

	n_sent = largest = 0;
	for (int round = 0; round < ROUNDS && event == DTLS_MORE; round++) {
		(void)SSL_do_handshake(client);
		event = give_to_server(dtls);
		for (size_t i = 0; i < n_sent; i++) {
			assert_int_equal(
				BIO_write(to_client, sent[i].bytes, (int)sent[i].n), sent[i].n);
			(void)SSL_do_handshake(client);
		}
		n_sent = 0;
	}
	return event;
}

static int set_up(void **state)
{
	(void)state;
	dtls_init();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	dtls_fini();
	return 0;
}

/* RFC 5764 section 4.2: what the client encrypts with its keys, we can read, and the other way round. */
static void check_keys(const char *profiles, enum rtp_security_profile profile)
{
	static const uint8_t report[] = { 0x80, 201, 0, 1, 0, 0, 0, 1 };
	uint8_t material[60], sent_keys[30], received_keys[30],
		packet[64 + RTP_SECURITY_TRAILER_BYTES] = { 0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0,
			9 };
	size_t salt = rtp_security_salt_bytes(profile), n;
	struct rtp_security *ours, *theirs;
	struct dtls *dtls;

	client_new(profiles, true);
	dtls = dtls_new("sha-256", fingerprint, on_send, NULL);
	assert_non_null(dtls);
	assert_int_equal(shake(dtls), DTLS_OPEN);
	assert_true(largest <= 1200);
	ours = dtls_security(dtls);
	assert_non_null(ours);
	assert_int_equal(SSL_export_keying_material(client, material, 2 * (16 + salt),
				 "EXTRACTOR-dtls_srtp", 19, NULL, 0, 0),
		1);
	memcpy(sent_keys, material,
		16); /* client's key, server's key, client's salt, server's salt */
	memcpy(sent_keys + 16, material + 32, salt);
	memcpy(received_keys, material + 16, 16);
	memcpy(received_keys + 16, material + 32 + salt, salt);
	theirs = rtp_security_new(profile, sent_keys, received_keys);
	assert_non_null(theirs);

	memcpy(packet, report, sizeof(report));
	n = rtp_security_protect_report(theirs, packet, sizeof(report));
	assert_true(n > sizeof(report));
	packet[n - 1] ^= 1;
	assert_int_equal(rtp_security_open_report(ours, packet, n), 0);
	memcpy(packet, report, sizeof(report));
	n = rtp_security_protect_report(theirs, packet, sizeof(report));
	assert_int_equal(rtp_security_open_report(ours, packet, n), sizeof(report));
	assert_memory_equal(packet, report, sizeof(report));
	rtp_security_free(ours);
	rtp_security_free(theirs);
	dtls_free(dtls);
	client_free();
}

static void test_keys_of_both_profiles(void **state)
{
	(void)state;
	if (!rtp_security_is_there())
		skip();
	check_keys("SRTP_AES128_CM_SHA1_80", RTP_SECURITY_AES128_SHA1_80);
	if (rtp_security_has_gcm())
		check_keys("SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM", RTP_SECURITY_AES128_GCM);
}

/* A packet that is sent again is the same, however much was sent since: as far back as we promise. */
static void test_packets_can_be_sent_again(void **state)
{
	static const uint8_t keys[30];
	uint8_t first[64 + RTP_SECURITY_TRAILER_BYTES], packet[sizeof(first)];
	struct rtp_security *security = rtp_security_new(RTP_SECURITY_AES128_SHA1_80, keys, keys);

	(void)state;
	if (!rtp_security_is_there())
		skip();
	for (unsigned i = 0; i <= RTP_SECURITY_REPEATED; i++) {
		const uint8_t head[64] = { 0x80, 96, (uint8_t)(i % RTP_SECURITY_REPEATED >> 8),
			(uint8_t)(i % RTP_SECURITY_REPEATED), 0, 0, 0, 0, 0, 0, 0, 9 };
		memcpy(packet, head, sizeof(head));
		assert_int_equal(rtp_security_protect_packet(security, packet, 64), 74);
		if (i == 0)
			memcpy(first, packet, 74);
	}
	assert_memory_equal(packet, first, 74);
	rtp_security_free(security);
}

static void test_another_certificate_is_refused(void **state)
{
	struct dtls *dtls;

	(void)state;
	client_new("SRTP_AES128_CM_SHA1_80", true);
	fingerprint[0] = fingerprint[0] == '0' ? '1' : '0';
	dtls = dtls_new("sha-256", fingerprint, on_send, NULL);
	assert_int_equal(shake(dtls), DTLS_FAILED);
	assert_string_equal(dtls_failure(dtls), "the peer's certificate is not that of the offer");
	dtls_free(dtls);
	client_free();
}

static void test_no_certificate_is_refused(void **state)
{
	struct dtls *dtls;

	(void)state;
	client_new("SRTP_AES128_CM_SHA1_80", false);
	dtls = dtls_new("sha-256", fingerprint, on_send, NULL);
	assert_int_equal(shake(dtls), DTLS_FAILED);
	assert_non_null(dtls_failure(dtls));
	dtls_free(dtls);
	client_free();
}

static void test_no_profile_gives_no_keys(void **state)
{
	struct dtls *dtls;

	(void)state;
	client_new(NULL, true);
	dtls = dtls_new("SHA-256", fingerprint, on_send, NULL);
	assert_int_equal(shake(dtls), DTLS_OPEN);
	assert_null(dtls_security(dtls));
	dtls_free(dtls);
	client_free();
}

static void test_weak_and_malformed_fingerprints(void **state)
{
	(void)state;
	assert_null(dtls_new("sha-1", "00", on_send, NULL));
	assert_null(dtls_new("md5", "00", on_send, NULL));
	assert_null(dtls_new("sha-256", "00:11", on_send, NULL));
}

/* Whatever comes instead of a handshake: nothing breaks, and the real one still works, or it has failed. */
static void test_garbage_does_no_harm(void **state)
{
	uint32_t random = 1;

	(void)state;
	for (int i = 0; i < 300; i++) {
		struct dtls *dtls = dtls_new("sha-256", fingerprint, on_send, NULL);
		uint8_t bytes[200];

		n_sent = 0;
		for (size_t k = 0; k < sizeof(bytes); k++) {
			random = random * 1664525 + 1013904223;
			bytes[k] = (uint8_t)(random >> 24);
		}
		bytes[0] = (uint8_t)(20 + i % 44);
		bytes[1] = 0xfe;
		bytes[2] = 0xfd;
		if (i % 3 == 0) { /* a record of the length that it has */
			bytes[11] = 0;
			bytes[12] = sizeof(bytes) - 13;
		}
		assert_true(dtls_is(bytes, sizeof(bytes)));
		(void)!dtls_receive(dtls, bytes, sizeof(bytes));
		(void)!dtls_receive(dtls, bytes, 1);
		(void)!dtls_receive(dtls, bytes, 0);
		dtls_close(dtls);
		dtls_free(dtls);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_of_both_profiles),
		cmocka_unit_test(test_packets_can_be_sent_again),
		cmocka_unit_test(test_another_certificate_is_refused),
		cmocka_unit_test(test_no_certificate_is_refused),
		cmocka_unit_test(test_no_profile_gives_no_keys),
		cmocka_unit_test(test_weak_and_malformed_fingerprints),
		cmocka_unit_test(test_garbage_does_no_harm),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
