#include "onvif/onvif_login.h"

#include <stdlib.h>
#include <string.h>

#include "onvif/xsd_time.h"
#include "protocols/authenticate.h"
#include "protocols/base64.h"
#include "protocols/http_server.h"
#include "server/base/address.h"
#include "server/base/reactor.h"
#include "server/base/recent.h"

enum {
	TOKENS = 8192 /* that are remembered */
};
#define WINDOW_US (INT64_C(300) * 1000000)
#define AGAIN_US (INT64_C(5) * 1000000)

static struct recent *tokens, *tokens_of_hosts;

void onvif_login_fini(void)
{
	recent_free(tokens);
	recent_free(tokens_of_hosts);
	tokens = tokens_of_hosts = NULL;
}

bool onvif_role_may(enum auth_role role, enum onvif_access access)
{
	static const enum auth_role least[] = {
		[ONVIF_PRE_AUTH] = ROLE_VIEWER,
		[ONVIF_READ_SYSTEM] = ROLE_VIEWER,
		[ONVIF_READ_SYSTEM_SENSITIVE] = ROLE_OPERATOR,
		[ONVIF_READ_SYSTEM_SECRET] = ROLE_ADMIN,
		[ONVIF_WRITE_SYSTEM] = ROLE_ADMIN,
		[ONVIF_READ_MEDIA] = ROLE_VIEWER,
		[ONVIF_ACTUATE] = ROLE_OPERATOR,
	};

	return role >= least[access];
}

static bool token_is_timely(const struct soap_token *token)
{
	int64_t at_us, ago_us;

	if (xsd_time_parse(token->created, strlen(token->created), &at_us) < 0)
		return false;
	ago_us = reactor_now_us() - at_us;
	return ago_us > -WINDOW_US && ago_us < WINDOW_US;
}

/*
 * Whether it has not been used before, or by the same host a moment ago: some programs (onvif-util) make one for all that they ask
 * within a second.
 */
static bool token_is_new(const struct soap_token *token, const struct sockaddr *address)
{
	char host[ADDRESS_HOST_BYTES];
	const char *const parts[] = { token->username, token->nonce, token->created, NULL };
	const char *const of_host[] = { token->username, token->nonce, token->created,
		address_write_host(host, address), NULL };
	unsigned char key[RECENT_KEY_BYTES], host_key[RECENT_KEY_BYTES];
	int64_t now_us = reactor_monotonic_us();

	if (!tokens) {
		tokens = recent_new(TOKENS, 2 * WINDOW_US);
		tokens_of_hosts = recent_new(TOKENS, AGAIN_US);
	}
	recent_key(key, parts);
	recent_key(host_key, of_host);
	if (recent_has(tokens, key, now_us))
		return recent_has(tokens_of_hosts, host_key, now_us);
	recent_add(tokens, key, now_us);
	recent_add(tokens_of_hosts, host_key, now_us);
	return true;
}

static enum onvif_login login_by_token(const struct onvif_call *call,
	const struct soap_token *token, const struct auth_user **user)
{
	struct authenticate_asker *asker = http_asker(call->http);
	uint8_t nonce[192];
	ssize_t n = base64_parse(nonce, sizeof(nonce), token->nonce, strlen(token->nonce));
	struct authenticate_token given = {
		.name = token->username,
		.digest = token->password,
		.created = token->created,
		.nonce = nonce,
		.nonce_bytes = n < 0 ? 0 : (size_t)n,
	};
	enum authenticate_result result;

	if (!token->is_digest || n <= 0 || !token_is_timely(token))
		return ONVIF_LOGIN_WRONG;
	result = authenticate_token(asker, &given, user);
	if (result == AUTHENTICATE_LATER)
		return ONVIF_LOGIN_LATER;
	/* application passwords are for other things */
	if (result != AUTHENTICATED || asker->scopes != SCOPE_ALL ||
		!token_is_new(token, asker->address))
		return ONVIF_LOGIN_WRONG;
	return ONVIF_LOGIN_KNOWN;
}

enum onvif_login onvif_login(const struct onvif_call *call, const struct auth_user **user)
{
	struct soap_token token;

	*user = http_user(call->http);
	if (*user || authenticate_is_open())
		return ONVIF_LOGIN_KNOWN;
	if (!soap_read_token(&call->in, &token))
		return ONVIF_LOGIN_NOBODY;
	return login_by_token(call, &token, user);
}
