/* What a listener shows: certificates from files, what may be wrong with them, and the one that nvrd makes. */
#include "server/base/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "server/base/certificate.h"
#include "server/base/memory.h"

static char folder[] = "/tmp/nvrd-tls-XXXXXX";

static char *in_folder(const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

static void put(const char *name, const char *text)
{
	char *path = in_folder(name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fputs(text, file) >= 0, 1);
	assert_int_equal(fclose(file), 0);
	free(path);
}

/* Two pairs, a.pem and b.pem with their keys, and the first of them whole in one file. */
static void put_pairs(void)
{
	static const char *const names[][2] = {
		{"a.pem",  "a.key"},
		{ "b.pem", "b.key"},
	};
	size_t n;

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		char *both = certificate_make(&n);
		char *certificate = strstr(both, "-----BEGIN CERTIFICATE");

		assert_int_equal(strlen(both), n);
		assert_non_null(certificate);
		if (i == 0)
			put("whole.pem", both);
		put(names[i][0], certificate);
		*certificate = '\0';
		put(names[i][1], both);
		memory_free_secret(both);
	}
}

/* A key that is not even of the kind of the others. */
static void put_rsa(void)
{
	char *path = in_folder("rsa.key");
	BIO *out = BIO_new_file(path, "w");
	EVP_PKEY *key = EVP_RSA_gen(2048);

	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
	EVP_PKEY_free(key);
	BIO_free(out);
	free(path);
}

/* The key of a.pem behind a passphrase, in both of the shapes that there are. */
static void put_encrypted(void)
{
	char *from = in_folder("a.key"), *to = in_folder("locked.key");
	char *old = in_folder("locked-old.key");
	BIO *in = BIO_new_file(from, "r"), *out = BIO_new_file(to, "w");
	BIO *out_old = BIO_new_file(old, "w");
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	char passphrase[] = "secret";

	assert_non_null(key);
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(
				 out, key, EVP_aes_128_cbc(), passphrase, 6, NULL, NULL),
		1);
	assert_int_equal(PEM_write_bio_PrivateKey_traditional(out_old, key, EVP_aes_128_cbc(),
				 (unsigned char *)passphrase, 6, NULL, NULL),
		1);
	EVP_PKEY_free(key);
	BIO_free(in);
	BIO_free(out);
	BIO_free(out_old);
	free(from);
	free(to);
	free(old);
}

static void test_what_is_wrong_with_files_is_said(void **state)
{
	static const struct {
		const char *certificate, *key, *why;
	} rows[] = {
		{"a.pem",      "a.key",          NULL						    },
		{ "whole.pem", "whole.pem",      NULL						    },
		{ "chain.pem", "a.key",          NULL						    },
		{ "gone.pem",  "a.key",          "gone.pem: No such file or directory"                   },
		{ "a.pem",     "gone.key",       "gone.key: No such file or directory"                   },
		{ "a.pem",     "b.key",          "b.key: holds the key of another certificate"           },
		{ "a.pem",     "rsa.key",        "rsa.key: holds the key of another certificate"         },
		{ "a.pem",     "a.pem",          "a.pem: holds no key in PEM"                            },
		{ "a.key",     "a.key",          "a.key: holds no certificate in PEM"                    },
		{ "empty.pem", "a.key",          "empty.pem: holds no certificate in PEM"                },
		{ "torn.pem",  "a.key",          "torn.pem: holds no certificate in PEM"                 },
		{ "tail.pem",  "a.key",          "tail.pem: holds something broken after the certificate"},
		{ "a.pem",     "locked.key",
                 "locked.key: holds a key with a passphrase; take that off"                              },
		{ "a.pem",     "locked-old.key",
                 "locked-old.key: holds a key with a passphrase; take that off"                          },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char *certificate = in_folder(rows[i].certificate);
		char *key = in_folder(rows[i].key);
		char *why = NULL;
		struct tls_server *server = tls_server_load(certificate, key, &why);

		if (rows[i].why) {
			assert_null(server);
			assert_non_null(why);
			assert_string_equal(why + strlen(folder) + 1, rows[i].why);
		} else {
			assert_null(why);
			assert_non_null(server);
		}
		tls_server_free(server);
		free(why);
		free(certificate);
		free(key);
	}
}

/* The names in it, as OpenSSL prints them. */
static void check_extension(const X509 *x, int what, bool critical, const char *wanted)
{
	int at = X509_get_ext_by_NID(x, what, -1);
	BIO *out = BIO_new(BIO_s_mem());
	char *text = NULL;
	long n;

	assert_true(at >= 0);
	assert_int_equal(X509_EXTENSION_get_critical(X509_get_ext(x, at)), critical);
	assert_int_equal(X509V3_EXT_print(out, X509_get_ext(x, at), 0, 0), 1);
	n = BIO_get_mem_data(out, &text);
	char *whole = xstrndup(text, (size_t)n);
	assert_non_null(strstr(whole, wanted));
	free(whole);
	BIO_free(out);
}

static X509 *read_certificate(const char *text)
{
	BIO *in = BIO_new_mem_buf(text, -1);
	X509 *x = PEM_read_bio_X509(in, NULL, NULL, NULL);

	BIO_free(in);
	assert_non_null(x);
	return x;
}

static void test_the_certificate_that_is_made(void **state)
{
	size_t n;
	char *text = certificate_make(&n), *other = certificate_make(&n);
	X509 *x = read_certificate(text), *y = read_certificate(other);
	struct tm since, until;

	(void)state;
	assert_int_equal(X509_get_version(x), X509_VERSION_3);
	assert_int_equal(X509_verify(x, X509_get0_pubkey(x)), 1);
	assert_int_equal(X509_check_host(x, "localhost", 0, 0, NULL), 1);
	assert_int_equal(X509_check_ip_asc(x, "127.0.0.1", 0), 1);
	assert_int_equal(X509_check_host(x, "example.com", 0, 0, NULL), 0);
	check_extension(x, NID_basic_constraints, true, "CA:FALSE");
	check_extension(x, NID_key_usage, true, "Digital Signature");
	check_extension(x, NID_ext_key_usage, false, "TLS Web Server Authentication");
	check_extension(x, NID_subject_alt_name, false, "DNS:localhost");
	/* for a machine whose clock still stands at 2020, and until long after anybody's disk */
	assert_int_equal(ASN1_TIME_to_tm(X509_get0_notBefore(x), &since), 1);
	assert_int_equal(ASN1_TIME_to_tm(X509_get0_notAfter(x), &until), 1);
	assert_true(since.tm_year + 1900 < 2020 && until.tm_year + 1900 >= 2046);
	assert_int_not_equal(
		ASN1_INTEGER_cmp(X509_get0_serialNumber(x), X509_get0_serialNumber(y)), 0);
	assert_int_not_equal(EVP_PKEY_eq(X509_get0_pubkey(x), X509_get0_pubkey(y)), 1);
	X509_free(x);
	X509_free(y);
	memory_free_secret(text);
	memory_free_secret(other);
}

static void test_the_fingerprint_is_that_of_the_certificate(void **state)
{
	size_t n;
	char *text = certificate_make(&n);
	char fingerprint[TLS_FINGERPRINT_BYTES], wanted[TLS_FINGERPRINT_BYTES] = "sha256";
	char *why = NULL;
	struct tls_server *server = tls_server_parse("it", text, n, &why);
	X509 *x = read_certificate(text);
	unsigned char *der = NULL, digest[32];
	int der_bytes = i2d_X509(x, &der);

	(void)state;
	assert_non_null(server);
	assert_int_equal(EVP_Digest(der, (size_t)der_bytes, digest, NULL, EVP_sha256(), NULL), 1);
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)sprintf(wanted + strlen(wanted), ":%02X", digest[i]);
	assert_string_equal(tls_server_fingerprint(server, fingerprint), wanted);
	assert_true(tls_server_until_us(server) == INT64_C(2524607999) * 1000000);
	OPENSSL_free(der);
	X509_free(x);
	tls_server_free(server);
	tls_server_free(NULL);
	memory_free_secret(text);
}

static void test_the_file_is_made_once_for_its_owner_only(void **state)
{
	char *path = in_folder("own.pem"), *new = in_folder("own.pem.new"), *why = NULL;
	char first[TLS_FINGERPRINT_BYTES], second[TLS_FINGERPRINT_BYTES];
	struct stat st;

	(void)state;
	put("own.pem.new", "half of one that was being made");
	struct tls_server *server = certificate_open(path, &why);
	assert_non_null(server);
	tls_server_fingerprint(server, first);
	tls_server_free(server);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(access(new, F_OK), -1);
	server = certificate_open(path, &why);
	assert_non_null(server);
	assert_string_equal(tls_server_fingerprint(server, second), first);
	tls_server_free(server);
	free(path);
	free(new);
}

static void test_a_broken_file_is_left_alone(void **state)
{
	char *path = in_folder("broken.pem"), *why = NULL;
	struct stat st;

	(void)state;
	put("broken.pem", "x");
	assert_null(certificate_open(path, &why));
	assert_non_null(strstr(why, "broken.pem: holds no certificate in PEM"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 1);
	free(why);
	free(path);
	path = in_folder("no/folder.pem");
	assert_null(certificate_open(path, &why));
	assert_non_null(strstr(why, "No such file or directory"));
	free(why);
	free(path);
}

static int setup(void **state)
{
	char *command;

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	put_pairs();
	put_encrypted();
	put_rsa();
	put("empty.pem", "");
	command = xasprintf("cd %s && cat a.pem b.pem > chain.pem && head -c 300 a.pem > torn.pem "
			    "&& (cat a.pem; head -c 300 b.pem) > tail.pem",
		folder);
	int failed = system(command); // NOLINT(concurrency-mt-unsafe)
	free(command);
	return failed;
}

static int teardown(void **state)
{
	char *command = xasprintf("rm -r %s", folder);
	int failed = system(command); // NOLINT(concurrency-mt-unsafe)

	(void)state;
	free(command);
	return failed;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_wrong_with_files_is_said),
		cmocka_unit_test(test_the_certificate_that_is_made),
		cmocka_unit_test(test_the_fingerprint_is_that_of_the_certificate),
		cmocka_unit_test(test_the_file_is_made_once_for_its_owner_only),
		cmocka_unit_test(test_a_broken_file_is_left_alone),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
