#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/base/attributes.h"

/* Instants and spans of time as XML Schema writes them (Part 2: dateTime section 3.2.7, duration section 3.2.6). Pure. */

enum {
	XSD_TIME_BYTES = 28,    /* "2026-11-20T14:30:00.123456Z" */
	XSD_DURATION_BYTES = 40 /* "PT123456789.123456S" */
};

/*
 * A dateTime, of the years 1 to 9999, as microseconds since 1970 UTC; further digits of the fraction are cut. One without a zone
 * is in UTC, as ONVIF has it. Returns 0, or -EBADMSG.
 */
int xsd_time_parse(const char *p, size_t n, int64_t *ret_us) MUST_CHECK;
/* In UTC, with as many of six digits of a fraction as are needed; of the years 1 to 9999. Returns ret. */
char *xsd_time_write(char ret[XSD_TIME_BYTES], int64_t utc_us);

/*
 * A duration in microseconds; years have 365 days and months 30. More than a hundred years are a hundred years.
 * Returns 0, or -EBADMSG.
 */
int xsd_duration_parse(const char *p, size_t n, int64_t *ret_us) MUST_CHECK;
/* In seconds, of 0 or more. Returns ret. */
char *xsd_duration_write(char ret[XSD_DURATION_BYTES], int64_t us);
