#pragma once

#include <stddef.h>

#include "server/base/attributes.h"

/*
 * Allocation that ends the process when memory is gone, for sizes that we chose ourselves. A size
 * that a peer chose is checked against a limit first and uses plain malloc, which may fail.
 */
void *xmalloc(size_t n) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t n) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *p, size_t n) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));

/* Formats into a new string that the caller frees. */
char *xasprintf(const char *format, ...) PRINTF(1, 2) __attribute__((malloc, returns_nonnull));

/* Frees a string after overwriting it, for secrets; NULL is fine. */
void memory_free_secret(char *s);
