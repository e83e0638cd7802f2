/* The only file that knows libsrtp2. */
#include "protocols/rtp_security.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"

size_t rtp_security_salt_bytes(enum rtp_security_profile profile)
{
	return profile == RTP_SECURITY_AES128_GCM ? 12 : 14;
}

#ifdef HAVE_SRTP

#include <srtp2/srtp.h>

enum {
	SENDERS = 8, /* SSRCs of a receiver's reports: its own, one for each medium */
	WINDOW = 2 * RTP_SECURITY_REPEATED,
	RTCP_LEAST_BYTES = 8,
};

struct rtp_security {
	srtp_t sent, received;
	uint32_t senders[SENDERS];
	size_t n_senders;
};

static bool rtp_security_start(void)
{
	static int started; /* 0: not yet */

	if (started == 0)
		started = srtp_init() == srtp_err_status_ok ? 1 : -1;
	return started > 0;
}

bool rtp_security_is_there(void)
{
	return rtp_security_start();
}

static bool rtp_security_open(srtp_t *ret, enum rtp_security_profile profile,
	srtp_ssrc_type_t direction, const uint8_t *keys)
{
	srtp_policy_t policy;
	uint8_t key[RTP_SECURITY_KEY_BYTES + RTP_SECURITY_SALT_BYTES];

	memset(&policy, 0, sizeof(policy));
	memcpy(key, keys, RTP_SECURITY_KEY_BYTES + rtp_security_salt_bytes(profile));
	if (profile == RTP_SECURITY_AES128_GCM) {
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
	} else {
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtp);
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtcp);
	}
	policy.ssrc.type = direction;
	policy.key = key;
	policy.window_size = WINDOW;
	policy.allow_repeat_tx = 1;
	return srtp_create(ret, &policy) == srtp_err_status_ok;
}

struct rtp_security *rtp_security_new(
	enum rtp_security_profile profile, const uint8_t *sent, const uint8_t *received)
{
	struct rtp_security *srtp = xcalloc(1, sizeof(*srtp));

	if (rtp_security_start() &&
		rtp_security_open(&srtp->sent, profile, ssrc_any_outbound, sent) &&
		rtp_security_open(&srtp->received, profile, ssrc_any_inbound, received))
		return srtp;
	rtp_security_free(srtp);
	return NULL;
}

void rtp_security_free(struct rtp_security *srtp)
{
	if (!srtp)
		return;
	if (srtp->sent)
		(void)srtp_dealloc(srtp->sent);
	if (srtp->received)
		(void)srtp_dealloc(srtp->received);
	free(srtp);
}

bool rtp_security_has_gcm(void)
{
	static const uint8_t keys[RTP_SECURITY_KEY_BYTES + RTP_SECURITY_SALT_BYTES];
	struct rtp_security *srtp = rtp_security_new(RTP_SECURITY_AES128_GCM, keys, keys);
	bool has = srtp != NULL;

	rtp_security_free(srtp);
	return has;
}

size_t rtp_security_protect_packet(struct rtp_security *srtp, uint8_t *p, size_t n)
{
	int bytes = (int)n;

	return srtp_protect(srtp->sent, p, &bytes) == srtp_err_status_ok ? (size_t)bytes : 0;
}

size_t rtp_security_protect_report(struct rtp_security *srtp, uint8_t *p, size_t n)
{
	int bytes = (int)n;

	return srtp_protect_rtcp(srtp->sent, p, &bytes) == srtp_err_status_ok ? (size_t)bytes : 0;
}

/* libsrtp2 keeps memory for each SSRC that it has seen: a few will do. */
static bool rtp_security_knows(const struct rtp_security *srtp, uint32_t sender)
{
	for (size_t i = 0; i < srtp->n_senders; i++) {
		if (srtp->senders[i] == sender)
			return true;
	}
	return false;
}

size_t rtp_security_open_report(struct rtp_security *srtp, uint8_t *p, size_t n)
{
	int bytes = (int)n;
	uint32_t sender;

	if (n < RTCP_LEAST_BYTES)
		return 0;
	memcpy(&sender, p + 4, sizeof(sender));
	bool known = rtp_security_knows(srtp, sender);
	if (!known && srtp->n_senders == SENDERS)
		return 0;
	if (srtp_unprotect_rtcp(srtp->received, p, &bytes) != srtp_err_status_ok)
		return 0;
	if (!known)
		srtp->senders[srtp->n_senders++] = sender;
	return (size_t)bytes;
}

#else

bool rtp_security_is_there(void)
{
	return false;
}

bool rtp_security_has_gcm(void)
{
	return false;
}

struct rtp_security *rtp_security_new(
	enum rtp_security_profile profile, const uint8_t *sent, const uint8_t *received)
{
	(void)profile, (void)sent, (void)received;
	return NULL;
}

void rtp_security_free(struct rtp_security *srtp)
{
	(void)srtp;
}

size_t rtp_security_protect_packet(struct rtp_security *srtp, uint8_t *p, size_t n)
{
	(void)srtp, (void)p, (void)n;
	return 0;
}

size_t rtp_security_protect_report(struct rtp_security *srtp, uint8_t *p, size_t n)
{
	(void)srtp, (void)p, (void)n;
	return 0;
}

size_t rtp_security_open_report(struct rtp_security *srtp, uint8_t *p, size_t n)
{
	(void)srtp, (void)p, (void)n;
	return 0;
}

#endif
