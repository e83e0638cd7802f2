/* Lines of who did what: both forms, whatever the level, and names that would like to look like more. */
#include "server/base/audit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/base/log.h"
#include "server/base/metrics.h"

/* The line that the call writes to stderr, in a buffer of its own. */
static const char *line_of(
	enum log_format format, const struct audit_actor *actor, const char *what, const char *text)
{
	static char line[8192];
	int pipes[2], before = dup(STDERR_FILENO);

	assert_int_equal(pipe(pipes), 0);
	assert_true(dup2(pipes[1], STDERR_FILENO) >= 0);
	log_setup(LOG_ERROR, format);
	audit(actor, what, "%s", text);
	(void)dup2(before, STDERR_FILENO);
	ssize_t n = read(pipes[0], line, sizeof(line) - 1);
	close(before);
	close(pipes[0]);
	close(pipes[1]);
	assert_true(n > 0);
	line[n] = '\0';
	return line;
}

static const struct sockaddr *address(const char *text)
{
	static struct sockaddr_storage some[8];
	static unsigned n;
	struct sockaddr_storage *storage = &some[n++ % 8];
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)storage;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)storage;

	storage->ss_family = AF_INET;
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
		return (const struct sockaddr *)(const void *)storage;
	storage->ss_family = AF_INET6;
	assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
	return (const struct sockaddr *)(const void *)storage;
}

static void a_line_says_who_where_and_what(void **state)
{
	const struct audit_actor anna = { "anna", address("192.0.2.1"), "http" };
	const struct audit_actor nobody = { NULL, address("2001:db8::1"), "ftp" };
	const struct audit_actor mapped = { "anna", address("::ffff:192.0.2.2"), "http" };
	const struct audit_actor here = { NULL, NULL, "signal" };

	(void)state;
	assert_non_null(strstr(line_of(LOG_TEXT, &anna, "delete", "/uploads/a"),
		" info audit delete: user anna: address 192.0.2.1: protocol http: /uploads/a\n"));
	assert_non_null(strstr(line_of(LOG_JSON, &anna, "delete", "/uploads/a"),
		"\"level\":\"info\",\"audit\":\"delete\",\"user\":\"anna\",\"address\":\"192.0.2.1\","
		"\"protocol\":\"http\",\"message\":\"/uploads/a\"}\n"));
	assert_non_null(strstr(line_of(LOG_TEXT, &nobody, "put", "x"),
		" audit put: address 2001:db8::1: protocol ftp: x\n"));
	assert_non_null(strstr(line_of(LOG_TEXT, &mapped, "put", "x"), ": address 192.0.2.2: "));
	assert_non_null(strstr(line_of(LOG_TEXT, &here, "configuration", "applied"),
		" audit configuration: protocol signal: applied\n"));
}

static void names_cannot_look_like_the_rest_of_a_line(void **state)
{
	const struct audit_actor liar = { "anna: address 1.2.3.4: protocol x: \n\"\xff",
		address("192.0.2.1"), "http" };
	char name[600];
	const struct audit_actor longest = { name, address("192.0.2.1"), "http" };

	(void)state;
	assert_non_null(strstr(line_of(LOG_TEXT, &liar, "login-failed", "wrong"),
		"user anna? address 1.2.3.4? protocol x? ???: address 192.0.2.1: protocol http: "
		"wrong\n"));
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	const char *line = line_of(LOG_TEXT, &longest, "login-failed", "wrong\nfor all");
	assert_non_null(strstr(line, "aa: address 192.0.2.1: protocol http: wrong\\x0afor all\n"));
	assert_int_equal(strspn(strstr(line, "aaaa"), "a"), 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_says_who_where_and_what),
		cmocka_unit_test(names_cannot_look_like_the_rest_of_a_line),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	metrics_fini();
	return failed;
}
