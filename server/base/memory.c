/* Allocation that cannot fail, for sizes of our own. */
#include "server/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *memory_check(void *p)
{
	if (!p) {
		(void)fputs("nvrd: out of memory\n", stderr);
		abort();
	}
	return p;
}

void *xmalloc(size_t n)
{
	return memory_check(malloc(n ? n : 1));
}

void *xcalloc(size_t count, size_t n)
{
	return memory_check(calloc(count ? count : 1, n ? n : 1));
}

void *xrealloc(void *p, size_t n)
{
	return memory_check(realloc(p, n ? n : 1));
}

char *xstrdup(const char *s)
{
	return memory_check(strdup(s));
}

char *xstrndup(const char *s, size_t n)
{
	return memory_check(strndup(s, n));
}

char *xasprintf(const char *format, ...)
{
	char *s = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&s, format, args) < 0)
		s = NULL;
	va_end(args);
	return memory_check(s);
}

void memory_free_secret(char *s)
{
	if (!s)
		return;
	explicit_bzero(s, strlen(s));
	free(s);
}
