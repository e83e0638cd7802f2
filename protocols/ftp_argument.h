#pragma once

#include <stdint.h>
#include <sys/socket.h>

#include "server/base/attributes.h"

/* Arguments of FTP's commands. Pure. */

/* PORT: "h1,h2,h3,h4,p1,p2" (RFC 959 section 4.1.2). Returns 0 or -EINVAL. */
int ftp_argument_port(struct sockaddr_storage *ret, const char *text) MUST_CHECK;
/* EPRT: "|1|192.0.2.1|1025|" (RFC 2428 section 2). Returns 0, -EINVAL, or -EAFNOSUPPORT: neither IPv4 nor IPv6. */
int ftp_argument_extended_port(struct sockaddr_storage *ret, const char *text) MUST_CHECK;
/* A decimal number, of which there is nothing behind. Returns 0 or -EINVAL. */
int ftp_argument_number(uint64_t *ret, const char *text) MUST_CHECK;
/*
 * "20261120143000" with or without a fraction, in UTC (RFC 3659 section 2.3): microseconds since 1970; *rest is what stands
 * behind. Returns 0 or -EINVAL.
 */
int ftp_argument_time(int64_t *ret_us, const char *text, const char **rest) MUST_CHECK;
