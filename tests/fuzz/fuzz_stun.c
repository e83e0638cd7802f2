/* STUN messages; what a request is answered is read back. */
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>

#include "protocols/stun.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct stun_message m, again;
	struct sockaddr_storage address;
	const char *why = NULL;
	uint8_t bytes[STUN_ANSWER_BYTES];

	if (stun_parse(&m, p, n, &why) < 0) {
		if (!why)
			abort();
		return 0;
	}
	if (m.integrity && m.integrity_at + 24 > n)
		abort();
	if (stun_mapped_address(&m, &address)) {
		const struct stun_answer answer = { .transaction = m.transaction,
			.mapped = (struct sockaddr *)&address };
		size_t written = stun_add_fingerprint(bytes, stun_write_answer(bytes, &answer));
		if (stun_parse(&again, bytes, written, &why) < 0 || !again.has_fingerprint ||
			!again.mapped)
			abort();
	}
	const struct stun_answer refusal = { .transaction = m.transaction,
		.error = 420,
		.unknown = m.unknown,
		.n_unknown = m.n_unknown };
	size_t written = stun_add_fingerprint(bytes, stun_write_answer(bytes, &refusal));
	if (stun_parse(&again, bytes, written, &why) < 0 || again.error != 420)
		abort();
	return 0;
}
