/* What stands behind PORT, EPRT, REST, MFMT. */
#include "protocols/ftp_argument.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

static const char digits[] = "0123456789";

/* A number of at most `most` at *text, which goes on behind it. */
static int take_number(unsigned *ret, const char **text, unsigned most)
{
	size_t n = strspn(*text, digits);
	unsigned value = 0;

	if (n == 0 || n > 5)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		value = value * 10 + (unsigned)((*text)[i] - '0');
	*text += n;
	*ret = value;
	return value > most ? -EINVAL : 0;
}

int ftp_argument_port(struct sockaddr_storage *ret, const char *text)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	unsigned numbers[6];

	for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
		if ((i > 0 && *text++ != ',') || take_number(&numbers[i], &text, 255) < 0)
			return -EINVAL;
	}
	if (*text)
		return -EINVAL;
	memset(ret, 0, sizeof(*ret));
	v4->sin_family = AF_INET;
	v4->sin_addr.s_addr =
		htonl(numbers[0] << 24 | numbers[1] << 16 | numbers[2] << 8 | numbers[3]);
	v4->sin_port = htons((uint16_t)(numbers[4] << 8 | numbers[5]));
	return 0;
}

int ftp_argument_extended_port(struct sockaddr_storage *ret, const char *text)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	char host[INET6_ADDRSTRLEN], delimiter = *text;
	unsigned family, port;
	size_t n;

	if (delimiter < 33 || delimiter > 126)
		return -EINVAL;
	text++;
	if (take_number(&family, &text, UINT16_MAX) < 0 || *text++ != delimiter)
		return -EINVAL;
	n = strcspn(text, (char[]){ delimiter, '\0' });
	if (n >= sizeof(host) || !text[n])
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = '\0';
	text += n + 1;
	if (take_number(&port, &text, UINT16_MAX) < 0 || *text++ != delimiter || *text)
		return -EINVAL;
	if (family != 1 && family != 2)
		return -EAFNOSUPPORT;
	memset(ret, 0, sizeof(*ret));
	if (family == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		return inet_pton(AF_INET, host, &v4->sin_addr) == 1 ? 0 : -EINVAL;
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 ? 0 : -EINVAL;
}

int ftp_argument_number(uint64_t *ret, const char *text)
{
	size_t n = strspn(text, digits);
	uint64_t value = 0;

	if (n == 0 || n > 18 || text[n])
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	*ret = value;
	return 0;
}

/* The next n digits. */
static int take_digits(const char **text, size_t n)
{
	int value = 0;

	for (; n > 0; n--)
		value = value * 10 + (*(*text)++ - '0');
	return value;
}

/* To the second, of which there may be 61 in a minute. Returns 0 or -EINVAL. */
static int take_time(int64_t *ret, const char **text)
{
	struct tm parts = { 0 }, again;
	time_t minute;
	int second;

	if (strspn(*text, digits) != strlen("YYYYMMDDHHMMSS"))
		return -EINVAL;
	parts.tm_year = take_digits(text, 4) - 1900;
	parts.tm_mon = take_digits(text, 2) - 1;
	parts.tm_mday = take_digits(text, 2);
	parts.tm_hour = take_digits(text, 2);
	parts.tm_min = take_digits(text, 2);
	second = take_digits(text, 2);
	again = parts;
	minute = timegm(&again);
	if (minute < 0 || second > 60 || again.tm_mon != parts.tm_mon ||
		again.tm_mday != parts.tm_mday || again.tm_hour != parts.tm_hour ||
		again.tm_min != parts.tm_min)
		return -EINVAL; /* as of the 30th of February */
	*ret = (int64_t)minute + second;
	return 0;
}

int ftp_argument_time(int64_t *ret_us, const char *text, const char **rest)
{
	int64_t seconds, us = 0, unit = 100000;

	if (take_time(&seconds, &text) < 0)
		return -EINVAL;
	if (*text == '.') {
		size_t n = strspn(++text, digits);

		if (n == 0)
			return -EINVAL;
		for (; n > 0; n--, unit /= 10)
			us += (*text++ - '0') * unit;
	}
	*ret_us = seconds * 1000000 + us;
	*rest = text;
	return 0;
}
