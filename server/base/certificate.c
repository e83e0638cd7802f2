/* Self-signed certificates by OpenSSL (RFC 5280), and the file that keeps one. */
#include "server/base/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "server/base/file.h"
#include "server/base/memory.h"
#include "server/base/tls.h"

enum {
	SERIAL_BYTES = 16,
	NAME_BYTES = 64, /* the most that a common name may have */
	ADDRESSES = 32,
};

/*
 * Whatever the clock says. Devices that allow 825 days only do so for certificates from July 2019 on; the
 * end is the last year that all of them can read.
 */
static const char not_before[] = "190101000000Z", not_after[] = "491231235959Z";

/* The machine's name where that can be one of DNS, else "nvrd". */
static void certificate_host(char ret[NAME_BYTES + 1])
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-.";

	memset(ret, 0, NAME_BYTES + 1);
	if (gethostname(ret, NAME_BYTES) < 0 || !*ret || strchr(".-", *ret) ||
		strspn(ret, letters) != strlen(ret) || strlen(ret) >= NAME_BYTES)
		(void)snprintf(ret, NAME_BYTES + 1, "nvrd");
}

static void certificate_append(char **names, const char *kind, const char *name)
{
	char *longer = xasprintf("%s,%s:%s", *names, kind, name);

	free(*names);
	*names = longer;
}

/* Addresses that others may know the machine by: not those of one link only. */
static void certificate_append_addresses(char **names)
{
	struct ifaddrs *all = NULL;
	unsigned n = 0;

	if (getifaddrs(&all) < 0)
		return;
	for (const struct ifaddrs *at = all; at && n < ADDRESSES; at = at->ifa_next) {
		char text[INET6_ADDRSTRLEN];
		const void *address = NULL;

		if (at->ifa_addr && at->ifa_addr->sa_family == AF_INET) {
			address =
				&((const struct sockaddr_in *)(const void *)at->ifa_addr)->sin_addr;
		} else if (at->ifa_addr && at->ifa_addr->sa_family == AF_INET6) {
			const struct in6_addr *six =
				&((const struct sockaddr_in6 *)(const void *)at->ifa_addr)
					 ->sin6_addr;
			address = IN6_IS_ADDR_LINKLOCAL(six) ? NULL : six;
		}
		if (!address || !inet_ntop(at->ifa_addr->sa_family, address, text, sizeof(text)))
			continue;
		certificate_append(names, "IP", text);
		n++;
	}
	freeifaddrs(all);
}

/* As OpenSSL wants it: "DNS:localhost,DNS:<name>,IP:…". */
static char *certificate_names(const char *host)
{
	char *names = xstrdup("DNS:localhost");

	certificate_append(&names, "DNS", host);
	if (!strchr(host, '.')) {
		char *local = xasprintf("%s.local", host); /* by multicast DNS (RFC 6762) */

		certificate_append(&names, "DNS", local);
		free(local);
	}
	certificate_append_addresses(&names);
	return names;
}

static bool certificate_add(X509 *x, int what, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool added;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, what, value);
	added = extension && X509_add_ext(x, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return added;
}

static bool certificate_set_serial(X509 *x)
{
	unsigned char bytes[SERIAL_BYTES];
	BIGNUM *number = NULL;
	bool set = RAND_bytes(bytes, sizeof(bytes)) == 1;

	bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive, and always of one length */
	number = set ? BN_bin2bn(bytes, sizeof(bytes), NULL) : NULL;
	set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x));
	BN_free(number);
	return set;
}

static bool certificate_fill(X509 *x, EVP_PKEY *key)
{
	char host[NAME_BYTES + 1];
	X509_NAME *name = X509_get_subject_name(x);

	certificate_host(host);
	char *names = certificate_names(host);
	bool filled = X509_set_version(x, X509_VERSION_3) && certificate_set_serial(x) &&
		      ASN1_TIME_set_string(X509_getm_notBefore(x), not_before) &&
		      ASN1_TIME_set_string(X509_getm_notAfter(x), not_after) &&
		      X509_NAME_add_entry_by_txt(
			      name, "CN", MBSTRING_ASC, (const unsigned char *)host, -1, -1, 0) &&
		      X509_set_issuer_name(x, name) && X509_set_pubkey(x, key) &&
		      certificate_add(x, NID_basic_constraints, "critical,CA:FALSE") &&
		      certificate_add(x, NID_key_usage, "critical,digitalSignature") &&
		      certificate_add(x, NID_ext_key_usage, "serverAuth") &&
		      certificate_add(x, NID_subject_key_identifier, "hash") &&
		      certificate_add(x, NID_subject_alt_name, names) &&
		      X509_sign(x, key, EVP_sha256());
	free(names);
	return filled;
}

char *certificate_make(size_t *ret_bytes)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	BIO *out = BIO_new(BIO_s_secmem());
	char *text = NULL;
	long n;

	/* nothing from outside is in it: it fails for want of memory or of random numbers only */
	if (!key || !x || !out || !certificate_fill(x, key) ||
		PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) != 1 ||
		PEM_write_bio_X509(out, x) != 1)
		abort();
	n = BIO_get_mem_data(out, &text);
	*ret_bytes = (size_t)n;
	text = xstrndup(text, (size_t)n);
	BIO_free(out);
	X509_free(x);
	EVP_PKEY_free(key);
	return text;
}

/* --- the file --- */

struct tls_server *certificate_open(const char *file, char **why)
{
	struct stat st;

	if (stat(file, &st) < 0 && errno == ENOENT) {
		size_t n;
		char *text = certificate_make(&n);
		int error = file_write(file, text, n, NULL, true);

		memory_free_secret(text);
		if (error) {
			errno = -error;
			*why = xasprintf("%s: %m", file);
			return NULL;
		}
	}
	return tls_server_load(file, file, why);
}

struct tls_server *certificate_temporary(void)
{
	char *why = NULL;
	size_t n;
	char *text = certificate_make(&n);
	struct tls_server *server = tls_server_parse("a new certificate", text, n, &why);

	memory_free_secret(text);
	if (!server)
		abort();
	return server;
}
