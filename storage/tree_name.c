/* Which names a file may get: what could mean something else to a file system, or to us, is refused. */
#include "storage/tree_name.h"

#include <string.h>
#include <strings.h>

size_t tree_name_character(const unsigned char *p, size_t n)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t bytes = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	uint32_t c;

	if (bytes == 1)
		return p[0] >= ' ' && p[0] != 0x7f;
	if (p[0] < 0xc2 || p[0] > 0xf4 || bytes > n)
		return 0;
	c = p[0] & (0x7fU >> bytes);
	for (size_t i = 1; i < bytes; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fU);
	}
	if (c < least[bytes] || c < 0xa0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	return bytes;
}

bool tree_name_is_fine(const char *name, size_t n)
{
	const unsigned char *p = (const unsigned char *)name;
	size_t used;

	if (n == 0 || n > TREE_NAME_BYTES || (n == 1 && *name == '.') ||
		(n == 2 && !memcmp(name, "..", 2)))
		return false;
	if (n >= strlen(TREE_PART) && !strncasecmp(name, TREE_PART, strlen(TREE_PART)))
		return false;
	for (size_t i = 0; i < n; i += used) {
		used = 1;
		if (p[i] >= ' ' && p[i] < 0x7f && p[i] != '/') /* most of them */
			continue;
		used = p[i] == '/' ? 0 : tree_name_character(p + i, n - i);
		if (!used)
			return false;
	}
	return true;
}

bool tree_name_path_is_fine(const char *path, size_t most)
{
	for (size_t parts = 0; parts < most; parts++) {
		size_t n = strcspn(path, "/");

		if (!tree_name_is_fine(path, n))
			return false;
		if (!path[n])
			return true;
		path += n + 1;
	}
	return false;
}

bool tree_name_is_within(const char *path, const char *top)
{
	size_t n = strlen(top);

	if (n && top[n - 1] == '/') /* the root */
		n--;
	return !strncmp(path, top, n) && (path[n] == '\0' || path[n] == '/');
}

void tree_write_etag(char *ret, size_t n, const uint64_t *numbers)
{
	for (size_t i = 0; i < n; i++) {
		unsigned digits = 1;

		*ret++ = i ? '-' : '"';
		while (digits < 16 && numbers[i] >> (4 * digits))
			digits++;
		while (digits-- > 0)
			*ret++ = "0123456789abcdef"[numbers[i] >> (4 * digits) & 15];
	}
	*ret++ = '"';
	*ret = '\0';
}
