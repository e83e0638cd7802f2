/* nvrd: the command line. */
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "server/base/auth.h"
#include "server/base/config.h"
#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/scrypt.h"
#include "server/nvrd.h"
#include "server/rescan.h"
#include "server/retention_plan.h"

enum {
	NFTW_FILES = 16
};

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* In a store of its own, which is removed. */
static int run_demo(void)
{
	const char *folder = getenv("TMPDIR");
	char *store = xasprintf("%s/nvrd-demo-XXXXXX", folder ? folder : "/tmp");
	struct config *config;
	int status;

	if (!mkdtemp(store)) {
		fprintf(stderr, "nvrd: %s: %s\n", store, strerror(errno));
		free(store);
		return EXIT_FAILURE;
	}
	config = config_demo(store);
	log_setup(config->log.level, config->log.format);
	status = nvrd_run(NULL, config);
	(void)nftw(store, remove_entry, NFTW_FILES, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	free(store);
	return status;
}

/* Warns when others may read passwords that stand in the file as they are. */
static void warn_readable_secrets(const struct config *config)
{
	struct stat st;

	if (config_has_secrets(config) && stat(config->file, &st) == 0 && (st.st_mode & 077))
		log_warn(NULL, "%s: holds passwords and is readable by others: chmod 600 it",
			config->file);
}

/* Something that is done with the store and ends by itself. */
static int run_once(struct config *config, int (*what)(const struct config *config))
{
	int error;

	log_setup(LOG_WARN, config->log.format);
	error = what(config);
	config_free(config);
	metrics_fini();
	return error ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* What is done with a configuration. */
enum task {
	TASK_RUN,
	TASK_CHECK,
	TASK_RESCAN,
	TASK_RETENTION_PLAN
};

static int run_file(const char *file, enum task task)
{
	char *errors = NULL;
	struct config *config = config_load(file, &errors);

	if (!config) {
		fputs(errors, stderr);
		free(errors);
		return EXIT_FAILURE;
	}
	if (task == TASK_RETENTION_PLAN)
		return run_once(config, retention_plan_print);
	if (task == TASK_RESCAN)
		return run_once(config, rescan);
	if (task == TASK_CHECK) {
		printf("%s: fine\n", file);
		config_free(config);
		return EXIT_SUCCESS;
	}
	log_setup(config->log.level, config->log.format);
	warn_readable_secrets(config);
	return nvrd_run(file, config);
}

/* Reads a line without echo where there is a terminal. Returns the caller's string, or NULL. */
static char *read_password(void)
{
	struct termios before, quiet;
	bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	if (terminal) {
		quiet = before;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		fputs("Password: ", stderr);
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	n = getline(&line, &size, stdin);
	if (terminal) {
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
		fputc('\n', stderr);
	}
	if (n > 0 && line[n - 1] == '\n')
		line[--n] = '\0';
	if (n > 0)
		return line;
	free(line);
	return NULL;
}

static int run_hash_password(const char *user, bool by_scrypt)
{
	char *password = read_password();
	char *hash;

	if (!password) {
		fputs("nvrd: no password was given\n", stderr);
		return EXIT_FAILURE;
	}
	hash = by_scrypt ? scrypt_hash(password) : auth_hash_password(user, password);
	printf("%s\n", hash);
	free(hash);
	memory_free_secret(password);
	return EXIT_SUCCESS;
}

static int usage(FILE *to, int status)
{
	fputs("usage: nvrd -c FILE [--check | --rescan | --retention-plan]\n"
	      "       nvrd --demo\n"
	      "       nvrd --hash-password USER [--scrypt]\n"
	      "       nvrd --version\n",
		to);
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config",          required_argument, NULL, 'c'},
		{ "check",          no_argument,       NULL, 'k'},
		{ "demo",           no_argument,       NULL, 'd'},
		{ "hash-password",  required_argument, NULL, 'p'},
		{ "rescan",         no_argument,       NULL, 's'},
		{ "scrypt",         no_argument,       NULL, 'y'},
		{ "retention-plan", no_argument,       NULL, 'r'},
		{ "version",        no_argument,       NULL, 'v'},
		{ "help",           no_argument,       NULL, 'h'},
		{ NULL,             0,                 NULL, 0  },
	};
	enum task task = TASK_RUN;
	const char *file = NULL, *hash_user = NULL;
	bool demo = false, by_scrypt = false;
	int option;

	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			file = optarg;
			break;
		case 'k':
			task = TASK_CHECK;
			break;
		case 's':
			task = TASK_RESCAN;
			break;
		case 'r':
			task = TASK_RETENTION_PLAN;
			break;
		case 'd':
			demo = true;
			break;
		case 'p':
			hash_user = optarg;
			break;
		case 'y':
			by_scrypt = true;
			break;
		case 'v':
			puts("nvrd " NVRD_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			return usage(stdout, EXIT_SUCCESS);
		default:
			return usage(stderr, EXIT_FAILURE);
		}
	}
	if (hash_user && optind == argc && !demo && !file)
		return run_hash_password(hash_user, by_scrypt);
	if (optind != argc || by_scrypt || demo == (file != NULL) || (demo && task != TASK_RUN))
		return usage(stderr, EXIT_FAILURE);
	return demo ? run_demo() : run_file(file, task);
}
