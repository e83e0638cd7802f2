/* From what a client says to a path of the tree. */
#include "protocols/ftp_path.h"

#include <errno.h>
#include <string.h>

#include "storage/tree_name.h"

/* Adds the parts of a path to one that is written "/a/b", the root "". */
static int path_add(char ret[FTP_PATH_BYTES], const char *path)
{
	size_t used = strlen(ret);

	for (size_t n; *path; path += n) {
		n = strcspn(path, "/");
		if (n == 2 && !memcmp(path, "..", 2)) {
			while (used > 0 && ret[--used] != '/')
				;
		} else if (n > 0 && (n != 1 || *path != '.')) {
			if (used + 1 + n >= FTP_PATH_BYTES)
				return -ENAMETOOLONG;
			ret[used++] = '/';
			memcpy(ret + used, path, n);
			used += n;
		}
		ret[used] = '\0';
		n += path[n] == '/';
	}
	return 0;
}

bool ftp_path_is_hidden(const char *path)
{
	return tree_name_is_within(path, "/config") || tree_name_is_within(path, "/discovered");
}

int ftp_path_resolve(
	char ret[FTP_PATH_BYTES], const char *home, const char *cwd, const char *argument)
{
	char path[FTP_PATH_BYTES] = "";
	int error = *argument == '/' ? 0 : path_add(path, cwd);

	if (!error)
		error = path_add(path, argument);
	if (error)
		return error;
	*ret = '\0';
	if (*home && *path && !tree_name_is_within(path, "/recordings") &&
		!tree_name_is_within(path, "/uploads"))
		error = path_add(ret, home);
	if (!error)
		error = path_add(ret, path);
	if (!error && !*ret)
		memcpy(ret, "/", 2);
	return !error && ftp_path_is_hidden(ret) ? -ENOENT : error;
}

bool ftp_path_matches(const char *pattern, const char *name)
{
	const char *star = NULL, *tried = NULL;

	while (*name) {
		if (*pattern == '*') {
			star = ++pattern;
			tried = name;
		} else if (*pattern == '?' || *pattern == *name) {
			pattern++;
			name++;
		} else if (star) { /* one more for the last star */
			pattern = star;
			name = ++tried;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

bool ftp_path_is_pattern(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strpbrk(slash ? slash : path, "*?");
}
