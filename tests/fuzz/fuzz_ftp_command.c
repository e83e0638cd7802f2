/* FTP: the first byte says where the input is cut; then paths, patterns and arguments made of what came out. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/ftp_argument.h"
#include "protocols/ftp_command.h"
#include "protocols/ftp_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_path(const char *argument)
{
	static const char *const homes[] = { "", "/uploads/porch" };
	char path[FTP_PATH_BYTES], again[FTP_PATH_BYTES];

	for (size_t i = 0; i < ARRAY_LENGTH(homes); i++) {
		if (ftp_path_resolve(path, homes[i], "/uploads/porch/a", argument) < 0)
			continue;
		if (path[0] != '/' || strstr(path, "//") || strstr(path, "/../") ||
			strstr(path, "/./") || (path[1] && path[strlen(path) - 1] == '/'))
			abort();
		if (ftp_path_resolve(again, homes[i], "/", path) < 0 || strcmp(path, again) != 0)
			abort();
		(void)ftp_path_is_pattern(path);
		if (!ftp_path_matches("*", path) || !ftp_path_matches(path, path))
			abort();
	}
}

static void check_arguments(const char *argument)
{
	struct sockaddr_storage address;
	const char *rest;
	uint64_t number;
	int64_t us;

	(void)!ftp_argument_port(&address, argument);
	(void)!ftp_argument_extended_port(&address, argument);
	(void)!ftp_argument_number(&number, argument);
	if (ftp_argument_time(&us, argument, &rest) == 0 &&
		(us < 0 || rest < argument || rest > argument + strlen(argument)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct ftp_command whole, parts;
	const char *text = (const char *)p + 1, *why, *other;
	ssize_t used, first;
	size_t cut;

	if (n-- == 0)
		return 0;
	cut = p[0] < n ? p[0] : n;
	used = ftp_command_parse(&whole, text, n, 0, &why);
	first = ftp_command_parse(&parts, text, cut, 0, &other);
	if (first == 0 && (ftp_command_parse(&parts, text, n, cut, &other) != used || why != other))
		abort();
	if (used > (ssize_t)n)
		abort();
	if (used <= 0)
		return 0;
	if (why && (whole.verb != FTP_UNKNOWN || whole.argument[0]))
		abort();
	check_path(whole.argument);
	check_arguments(whole.argument);
	return 0;
}
