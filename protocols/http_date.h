#pragma once

#include <stdint.h>

#include "protocols/message.h"

/* An HTTP date (RFC 9110 section 5.6.7) of microseconds since 1970, and back (-1: not a date). */
enum {
	HTTP_DATE_BYTES = 30
};
char *http_date_write(char ret[HTTP_DATE_BYTES], int64_t utc_us);
/* Takes the three forms; a year of two digits below 70 is in this century. Before 1970: -1. */
int64_t http_date_parse(struct message_text text);

/* The same instant as "2026-11-20T14:30:00Z" (RFC 3339), for WebDAV and pages. */
enum {
	HTTP_TIMESTAMP_BYTES = 21
};
char *http_timestamp_write(char ret[HTTP_TIMESTAMP_BYTES], int64_t utc_us);
/* And back, from 1970 on, with any offset from UTC; six digits of a fraction count. -1: not an instant. */
int64_t http_timestamp_parse(struct message_text text);
