#pragma once

#include "onvif/onvif_call.h"
#include "server/base/attributes.h"

/*
 * Who calls: HTTP's user, or a WS-UsernameToken with a digest (OASIS UsernameToken Profile 1.0). A token is good once, for five seconds
 * more to the host that has used it, and within five minutes of its time: some clocks are off.
 */

enum onvif_login {
	ONVIF_LOGIN_KNOWN,  /* *user, which is NULL without users; valid until the next reload */
	ONVIF_LOGIN_NOBODY, /* nothing was said */
	ONVIF_LOGIN_WRONG,
	ONVIF_LOGIN_LATER, /* too many were wrong */
};
enum onvif_login onvif_login(
	const struct onvif_call *call, const struct auth_user **user) MUST_CHECK;
/* Forgets the tokens. */
void onvif_login_fini(void);

/* Whether a user of that role may do that (Core Specification, "Default Access Policy Definition"). */
bool onvif_role_may(enum auth_role role, enum onvif_access access);
