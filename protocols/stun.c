/* STUN messages (RFC 8489) with the attributes of ICE (RFC 8445 section 16.1). */
#include "protocols/stun.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "server/base/reader.h"

enum {
	MAPPED_ADDRESS = 0x0001,
	USERNAME = 0x0006,
	MESSAGE_INTEGRITY = 0x0008,
	ERROR_CODE = 0x0009,
	UNKNOWN_ATTRIBUTES = 0x000a,
	XOR_MAPPED_ADDRESS = 0x0020,
	PRIORITY = 0x0024,
	USE_CANDIDATE = 0x0025,
	FINGERPRINT = 0x8028,
	ICE_CONTROLLED = 0x8029,
	ICE_CONTROLLING = 0x802a,
	COMPREHENSION_OPTIONAL = 0x8000,
	ATTRIBUTE_HEADER_BYTES = 4,
	FINGERPRINT_BYTES = 4,
	FAMILY_IPV4 = 1,
	FAMILY_IPV6 = 2,
	MAPPED_IPV4_BYTES = 8,
	MAPPED_IPV6_BYTES = 20,
	COOKIE_BYTES = 4,
};

static const uint8_t cookie[COOKIE_BYTES] = { 0x21, 0x12, 0xa4, 0x42 };
static const uint32_t fingerprint_mask = 0x5354554e;

bool stun_is(const uint8_t *p, size_t n)
{
	return n >= STUN_HEADER_BYTES && p[0] < 4 && memcmp(p + 4, cookie, COOKIE_BYTES) == 0;
}

/* The CRC of Ethernet (ITU-T V.42), bit by bit: messages are short. */
static uint32_t crc32_of(uint32_t crc, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return crc;
}

static uint32_t fingerprint_of(const uint8_t *p, size_t n)
{
	return ~crc32_of(UINT32_MAX, p, n) ^ fingerprint_mask;
}

/* --- reading --- */

static void take_unknown(struct stun_message *m, uint16_t type)
{
	if (type < COMPREHENSION_OPTIONAL && m->n_unknown < STUN_UNKNOWN)
		m->unknown[m->n_unknown++] = type;
}

/* ERROR-CODE (section 14.8): a digit and two. */
static void take_error(struct stun_message *m, struct reader *value)
{
	reader_skip(value, 2);
	unsigned class = reader_u8(value) & 7;
	unsigned number = reader_u8(value);
	m->error = (uint16_t)(class * 100 + number);
}

static void take_attribute(struct stun_message *m, uint16_t type, struct reader *value)
{
	size_t n = reader_left(value);

	switch (type) {
	case USERNAME:
		m->username = value->at;
		m->username_bytes = n;
		break;
	case XOR_MAPPED_ADDRESS:
		m->mapped = value->at;
		m->mapped_bytes = n;
		break;
	case ERROR_CODE:
		take_error(m, value);
		break;
	case PRIORITY:
		m->priority = reader_u32(value);
		break;
	case USE_CANDIDATE:
		m->use_candidate = true;
		break;
	case ICE_CONTROLLING:
		(void)reader_u64(value);
		m->controlling = !value->why;
		break;
	case ICE_CONTROLLED:
		(void)reader_u64(value);
		m->controlled = !value->why;
		break;
	case MAPPED_ADDRESS:
	case UNKNOWN_ATTRIBUTES:
		break;
	default:
		take_unknown(m, type);
	}
}

/* The next attribute of r, in a message of which p is the start. */
static void parse_attribute(struct stun_message *m, struct reader *r, const uint8_t *p)
{
	size_t at = (size_t)(r->at - p);
	uint16_t type = reader_u16(r);
	size_t n = reader_u16(r);
	const uint8_t *content = reader_bytes(r, n);
	struct reader value = reader_of(content, content ? n : 0);

	reader_skip(r, -n & 3);
	if (r->why)
		return;
	if (type == FINGERPRINT) {
		if (n != FINGERPRINT_BYTES || reader_left(r) > 0 ||
			reader_u32(&value) != fingerprint_of(p, at))
			reader_fail(r, "the fingerprint is wrong");
		m->has_fingerprint = true;
	} else if (m->integrity) {
		return;
	} else if (type == MESSAGE_INTEGRITY) {
		if (n != STUN_INTEGRITY_BYTES)
			reader_fail(r, "the integrity has a wrong length");
		m->integrity = content;
		m->integrity_at = at;
	} else {
		take_attribute(m, type, &value);
		if (value.why)
			reader_fail(r, "an attribute is too short");
	}
}

int stun_parse(struct stun_message *ret, const uint8_t *p, size_t n, const char **why)
{
	struct stun_message m = { 0 };
	struct reader r = reader_of(p, n);

	*why = "not STUN";
	if (!stun_is(p, n))
		return -EBADMSG;
	m.type = reader_u16(&r);
	size_t bytes = reader_u16(&r);
	reader_skip(&r, COOKIE_BYTES);
	m.transaction = reader_bytes(&r, STUN_TRANSACTION_BYTES);
	*why = "the length is not that of the datagram";
	if (bytes % 4 != 0 || bytes != reader_left(&r))
		return -EBADMSG;
	while (reader_left(&r) > 0)
		parse_attribute(&m, &r, p);
	*why = r.why;
	if (r.why)
		return -EBADMSG;
	*ret = m;
	return 0;
}

/* XORs n bytes of an address with the cookie and, of IPv6, the transaction. */
static void mask_address(uint8_t *address, size_t n, const uint8_t *transaction)
{
	for (size_t i = 0; i < n; i++)
		address[i] ^= i < COOKIE_BYTES ? cookie[i] : transaction[i - COOKIE_BYTES];
}

bool stun_mapped_address(const struct stun_message *m, struct sockaddr_storage *ret)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	const uint8_t *p = m->mapped;

	if (!p || m->mapped_bytes < MAPPED_IPV4_BYTES)
		return false;
	uint16_t port = htons((uint16_t)((p[2] << 8 | p[3]) ^ (cookie[0] << 8 | cookie[1])));
	memset(ret, 0, sizeof(*ret));
	if (p[1] == FAMILY_IPV4 && m->mapped_bytes == MAPPED_IPV4_BYTES) {
		v4.sin_port = port;
		memcpy(&v4.sin_addr, p + 4, sizeof(v4.sin_addr));
		mask_address((uint8_t *)&v4.sin_addr, sizeof(v4.sin_addr), m->transaction);
		memcpy(ret, &v4, sizeof(v4));
		return true;
	}
	if (p[1] == FAMILY_IPV6 && m->mapped_bytes == MAPPED_IPV6_BYTES) {
		v6.sin6_port = port;
		memcpy(&v6.sin6_addr, p + 4, sizeof(v6.sin6_addr));
		mask_address((uint8_t *)&v6.sin6_addr, sizeof(v6.sin6_addr), m->transaction);
		memcpy(ret, &v6, sizeof(v6));
		return true;
	}
	return false;
}

/* --- writing: answers are shorter than STUN_ANSWER_BYTES, whatever is in them --- */

static uint8_t *put_u16(uint8_t *p, unsigned v)
{
	*p++ = (uint8_t)(v >> 8);
	*p++ = (uint8_t)v;
	return p;
}

void stun_set_length(uint8_t *p, size_t n)
{
	(void)put_u16(p + 2, (unsigned)(n - STUN_HEADER_BYTES));
}

static uint8_t *put_mapped(uint8_t *p, const struct sockaddr *address, const uint8_t *transaction)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
	bool is_v4 = address->sa_family == AF_INET;
	const uint8_t *host = is_v4 ? (const uint8_t *)&v4->sin_addr : v6->sin6_addr.s6_addr;
	unsigned port = ntohs(is_v4 ? v4->sin_port : v6->sin6_port);

	if (!is_v4 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		is_v4 = true;
		host += 12;
	}
	size_t n = is_v4 ? sizeof(struct in_addr) : sizeof(struct in6_addr);
	p = put_u16(p, XOR_MAPPED_ADDRESS);
	p = put_u16(p, (unsigned)(ATTRIBUTE_HEADER_BYTES + n));
	p = put_u16(p, is_v4 ? FAMILY_IPV4 : FAMILY_IPV6);
	p = put_u16(p, port ^ (cookie[0] << 8 | cookie[1]));
	memcpy(p, host, n);
	mask_address(p, n, transaction);
	return p + n;
}

static uint8_t *put_error(uint8_t *p, const struct stun_answer *answer)
{
	p = put_u16(p, ERROR_CODE);
	p = put_u16(p, 4);
	p = put_u16(p, 0);
	*p++ = (uint8_t)(answer->error / 100);
	*p++ = (uint8_t)(answer->error % 100);
	if (answer->n_unknown == 0)
		return p;
	p = put_u16(p, UNKNOWN_ATTRIBUTES);
	p = put_u16(p, (unsigned)(2 * answer->n_unknown));
	for (size_t i = 0; i < answer->n_unknown; i++)
		p = put_u16(p, answer->unknown[i]);
	return answer->n_unknown % 2 ? put_u16(p, 0) : p;
}

size_t stun_write_answer(uint8_t ret[STUN_ANSWER_BYTES], const struct stun_answer *answer)
{
	uint8_t *p = ret;

	p = put_u16(p, answer->error ? STUN_BINDING_ERROR : STUN_BINDING_SUCCESS);
	p = put_u16(p, 0);
	memcpy(p, cookie, COOKIE_BYTES);
	memcpy(p + COOKIE_BYTES, answer->transaction, STUN_TRANSACTION_BYTES);
	p = ret + STUN_HEADER_BYTES;
	p = answer->error ? put_error(p, answer)
			  : put_mapped(p, answer->mapped, answer->transaction);
	stun_set_length(ret, (size_t)(p - ret));
	return (size_t)(p - ret);
}

size_t stun_add_fingerprint(uint8_t *p, size_t n)
{
	stun_set_length(p, n + ATTRIBUTE_HEADER_BYTES + FINGERPRINT_BYTES);
	uint32_t value = fingerprint_of(p, n);
	uint8_t *at = put_u16(p + n, FINGERPRINT);
	at = put_u16(at, FINGERPRINT_BYTES);
	at = put_u16(at, value >> 16);
	at = put_u16(at, value & 0xffff);
	return (size_t)(at - p);
}
