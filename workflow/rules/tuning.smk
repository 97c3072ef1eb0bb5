# While runs that choose are missing, they are all there is to do, whatever is asked for: tables and figures wait.
for waiting in ("aggregate", "tables", "claims", "figures", "show"):

    rule:
        name:
            waiting
        input:
            RECORDED,
