/* Questions to an ONVIF camera: who asks, and how it wants to know. */
#include "onvif/camera_caller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <event2/util.h>
#include <openssl/evp.h>

#include "onvif/xsd_time.h"
#include "protocols/base64.h"
#include "protocols/http_client.h"
#include "protocols/uri.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"

#define DEVICE_PATH "/onvif/device_service"
#define DIGEST_TYPE                                                                       \
	"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-" \
	"1.0#PasswordDigest"
#define NONCE_TYPE                                                                          \
	"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0" \
	"#Base64Binary"

enum {
	ANSWER_BYTES = 512 << 10,
	NONCE_BYTES = 16,
	SHA1_BYTES = 20,
	BASE64_BYTES = 32
};

/* How a camera may want to know who asks, in the order in which it is tried. HTTP Digest is there in any case, where it is asked for. */
static const struct login {
	bool token, local; /* WS-UsernameToken; by what the camera calls local time (Q121) */
} logins[] = {
	{true,   false},
        { true,  true },
        { false, false}, /* Q122: one that fails over the token */
};

struct camera_caller {
	LIST_ENTRY(camera_caller) entry;
	struct http_client *http;
	struct tls_client tls;
	struct uri uri; /* secret */
	char *http_url; /* secret */
	struct log_name log;
	int64_t utc_us, local_us; /* see camera_caller_set_clock() */
	size_t login;
	bool known; /* an answer came with this login */

	/* the question under way */
	bool asking;
	struct camera_question question;
	struct soap_writer writer;
	camera_reply_fn *done;
	void *arg;

	struct evbuffer *text; /* its answer */
	bool too_large;
	struct reactor_dead dead;
};

static LIST_HEAD(, camera_caller) callers = LIST_HEAD_INITIALIZER(callers);

/* --- who asks --- */

static void digest_write(char ret[BASE64_BYTES], const uint8_t nonce[NONCE_BYTES],
	const char *created, const char *password)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t hash[SHA1_BYTES];

	if (!context || EVP_DigestInit_ex(context, EVP_sha1(), NULL) != 1 ||
		EVP_DigestUpdate(context, nonce, NONCE_BYTES) != 1 ||
		EVP_DigestUpdate(context, created, strlen(created)) != 1 ||
		EVP_DigestUpdate(context, password, strlen(password)) != 1 ||
		EVP_DigestFinal_ex(context, hash, NULL) != 1)
		abort();
	EVP_MD_CTX_free(context);
	(void)base64_write(ret, BASE64_BYTES, hash, sizeof(hash));
}

/* WS-UsernameToken (UsernameToken Profile 1.0 section 3.1), exactly one (Q119). */
static void caller_write_token(struct camera_caller *caller, xmlNode *header)
{
	char created[XSD_TIME_BYTES], nonce_text[BASE64_BYTES], digest[BASE64_BYTES];
	xmlNode *security = soap_add(header, SOAP_WSSE_SPACE, "Security");
	xmlNode *token = soap_add(security, SOAP_WSSE_SPACE, "UsernameToken");
	uint8_t nonce[NONCE_BYTES];

	evutil_secure_rng_get_bytes(nonce, sizeof(nonce));
	(void)base64_write(nonce_text, sizeof(nonce_text), nonce, sizeof(nonce));
	/* whole seconds: some cameras read no fraction */
	(void)xsd_time_write(created, camera_caller_now_us(caller) / 1000000 * 1000000);
	digest_write(digest, nonce, created, caller->uri.password);
	soap_set_of(security, SOAP_SPACE, "mustUnderstand", "1");
	soap_add_text(token, SOAP_WSSE_SPACE, "Username", caller->uri.user);
	soap_set(soap_add_text(token, SOAP_WSSE_SPACE, "Password", digest), "Type", DIGEST_TYPE);
	soap_set(soap_add_text(token, SOAP_WSSE_SPACE, "Nonce", nonce_text), "EncodingType",
		NONCE_TYPE);
	soap_add_text(token, SOAP_WSU_SPACE, "Created", created);
}

/* Another way to say who asks. Returns false when there is none left, or one has worked before. */
static bool caller_take_next_login(struct camera_caller *caller)
{
	int64_t apart_us = caller->local_us - caller->utc_us;

	if (caller->known || !caller->uri.has_user)
		return false;
	do
		caller->login++;
	while (caller->login < ARRAY_LENGTH(logins) && logins[caller->login].local &&
		apart_us == 0);
	return caller->login < ARRAY_LENGTH(logins);
}

/* --- asking --- */

static void caller_send(struct camera_caller *caller)
{
	xmlNode *header = soap_writer_header(&caller->writer), *old;
	char type[256], *text;
	size_t bytes;

	for (old = header->children; old && !soap_is(old, SOAP_WSSE_SPACE, "Security");)
		old = old->next;
	if (old) {
		xmlUnlinkNode(old);
		xmlFreeNode(old);
	}
	if (caller->uri.has_user && !caller->question.open && logins[caller->login].token)
		caller_write_token(caller, header);
	text = soap_writer_text(&caller->writer, &bytes);
	snprintf(type, sizeof(type), "application/soap+xml; charset=utf-8; action=\"%s\"",
		caller->question.action);
	(void)evbuffer_drain(caller->text, evbuffer_get_length(caller->text));
	caller->too_large = false;
	http_client_post(caller->http, caller->question.path, type, text, bytes,
		caller->question.patience_us);
	free(text);
}

static void caller_on_head(void *arg, const char *content_type);
static void caller_on_body(void *arg, const uint8_t *p, size_t n);
static void caller_on_end(void *arg, enum source_end end, const char *detail);

static const struct http_client_events http_events = {
	.on_head = caller_on_head,
	.on_body = caller_on_body,
	.on_end = caller_on_end,
};

/* A new connection: what is on the old one is forgotten. Returns false when the URL makes no sense. */
static bool caller_begin(struct camera_caller *caller, const char **why)
{
	http_client_free(caller->http);
	caller->http = http_client_new(
		caller->http_url, &caller->tls, &caller->log, &http_events, caller, why);
	return caller->http != NULL;
}

void camera_caller_ask(struct camera_caller *caller, const struct camera_question *question,
	struct soap_writer *writer, camera_reply_fn *done, void *arg)
{
	const char *why;

	if (caller->asking && !caller_begin(caller, &why))
		abort(); /* it was possible before */
	soap_writer_fini(&caller->writer);
	caller->asking = true;
	caller->question = *question;
	caller->writer = *writer;
	*writer = (struct soap_writer){ 0 };
	caller->done = done;
	caller->arg = arg;
	caller->login = caller->login < ARRAY_LENGTH(logins) ? caller->login : 0;
	caller_send(caller);
}

/* --- answers --- */

static void caller_on_head(void *arg, const char *content_type)
{
	(void)arg, (void)content_type;
}

static void caller_on_body(void *arg, const uint8_t *p, size_t n)
{
	struct camera_caller *caller = arg;

	if (n > ANSWER_BYTES - evbuffer_get_length(caller->text))
		caller->too_large = true;
	else
		(void)evbuffer_add(caller->text, p, n);
}

static void caller_reply(struct camera_caller *caller, const struct camera_reply *reply)
{
	caller->asking = false;
	caller->done(caller->arg, reply);
}

/* There is no answer. */
static void caller_fail(struct camera_caller *caller, enum source_end end, const char *detail)
{
	caller_reply(caller, &(struct camera_reply){ .end = end, .detail = detail });
}

static bool fault_says(const struct soap_fault *fault, const char *word)
{
	return !strcmp(fault->code, word) || !strcmp(fault->subcode, word) ||
	       !strcmp(fault->subsubcode, word);
}

static void caller_on_refused(struct camera_caller *caller, const char *detail)
{
	bool again = caller->uri.has_user && caller->question.open;

	caller->question.open = false;
	if (again || caller_take_next_login(caller))
		caller_send(caller);
	else if (caller->known)
		caller_fail(caller, SOURCE_FAULT, detail);
	else
		caller_fail(caller, SOURCE_UNAUTHORIZED, detail);
}

static void caller_on_fault(struct camera_caller *caller, const struct soap_fault *fault)
{
	char detail[400];
	struct camera_reply reply = { SOURCE_FAULT, detail, NULL, fault };

	snprintf(detail, sizeof(detail), "%s %s: %s",
		(const char *)caller->writer.body->children->name,
		fault->subsubcode[0] ? fault->subsubcode
		: fault->subcode[0]  ? fault->subcode
				     : fault->code,
		fault->reason);
	if (fault_says(fault, "NotAuthorized") || fault_says(fault, "FailedAuthentication") ||
		fault_says(fault, "InvalidSecurity"))
		caller_on_refused(caller, detail);
	else
		caller_reply(caller, &reply);
}

static void caller_on_message(struct camera_caller *caller)
{
	struct soap_message message;
	struct soap_fault fault;
	const char *why = "the answer is too large";

	if (caller->too_large ||
		soap_message_parse(&message, (const char *)evbuffer_pullup(caller->text, -1),
			evbuffer_get_length(caller->text), ANSWER_BYTES, &why) < 0) {
		caller_fail(caller, SOURCE_PROTOCOL, why);
		return;
	}
	if (soap_read_fault(&message, &fault)) {
		caller_on_fault(caller, &fault);
	} else {
		caller->known = caller->known || !caller->question.open;
		caller_reply(caller,
			&(struct camera_reply){ .end = SOURCE_STOPPED, .answer = &message });
	}
	soap_message_fini(&message);
}

static void caller_on_end(void *arg, enum source_end end, const char *detail)
{
	struct camera_caller *caller = arg;

	if (end == SOURCE_STOPPED)
		caller_on_message(caller);
	else if (end == SOURCE_UNAUTHORIZED)
		caller_on_refused(caller, detail);
	else
		caller_fail(caller, end, detail);
}

bool camera_reply_is_no(const struct camera_reply *reply)
{
	return reply->end == SOURCE_FAULT || reply->end == SOURCE_NOT_FOUND ||
	       reply->end == SOURCE_PROTOCOL;
}

/* --- life --- */

struct camera_caller *camera_caller_new(const char *url, const struct config_camera *config,
	const struct log_name *log, const char **why)
{
	struct camera_caller *caller = xcalloc(1, sizeof(*caller));
	const char *rest = strstr(url, "://");

	LIST_INSERT_HEAD(&callers, caller, entry);
	*why = "the URL makes no sense";
	caller->http_url = xasprintf(
		"http%s%s", strncasecmp(url, "onvif+https:", 12) ? "" : "s", rest ? rest : "");
	caller->tls = (struct tls_client){ config->tls_verify, config->tls_fingerprint,
		config->tls == TLS_LEGACY };
	caller->log = (struct log_name){ .parent = log, .kind = "onvif", .name = caller->uri.host };
	caller->text = evbuffer_new();
	if (!caller->text)
		abort();
	if (uri_parse(&caller->uri, caller->http_url, strlen(caller->http_url), why) < 0 ||
		!caller_begin(caller, why)) {
		camera_caller_free(caller);
		return NULL;
	}
	if (!strcmp(caller->uri.path, "/"))
		snprintf(caller->uri.path, sizeof(caller->uri.path), DEVICE_PATH);
	return caller;
}

static void caller_fini(void *object)
{
	struct camera_caller *caller = object;

	LIST_REMOVE(caller, entry);
	soap_writer_fini(&caller->writer);
	memory_free_secret(caller->http_url);
	explicit_bzero(&caller->uri, sizeof(caller->uri));
	evbuffer_free(caller->text);
	free(caller);
}

void camera_caller_free(struct camera_caller *caller)
{
	if (!caller)
		return;
	http_client_free(caller->http);
	caller->http = NULL;
	reactor_free_later(&caller->dead, caller_fini, caller);
}

const char *camera_caller_device_path(const struct camera_caller *caller)
{
	return caller->uri.path;
}

void camera_caller_write_address(
	const struct camera_caller *caller, const char *path, char *ret, size_t size)
{
	struct uri uri = caller->uri;

	snprintf(uri.path, sizeof(uri.path), "%s", path);
	(void)uri_write(ret, size, &uri);
	explicit_bzero(&uri, sizeof(uri));
}

/* For all who ask this camera: its clock may have been set since they looked at it. */
void camera_caller_set_clock(struct camera_caller *caller, int64_t utc_us, int64_t local_us)
{
	struct camera_caller *other;

	LIST_FOREACH (other, &callers, entry) {
		if (other->uri.port == caller->uri.port &&
			!strcmp(other->uri.host, caller->uri.host)) {
			other->utc_us = utc_us;
			other->local_us = local_us;
		}
	}
}

int64_t camera_caller_now_us(const struct camera_caller *caller)
{
	bool local = caller->login < ARRAY_LENGTH(logins) && logins[caller->login].local;

	return reactor_now_us() + (local ? caller->local_us : caller->utc_us);
}
