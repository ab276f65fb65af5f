"""Pages: publish static sites from uploaded archives, with a checkpoint of every deploy.

Where these texts cite the contract or a seed, they mean the written agreement on what Pages does;
docs/api.md tells it call by call.

The layers; a module imports from those below it or beside it, never from above (a test holds it)::

    wsgi, cli
    app
    web.sites  web.deploys  web.checkpoints  web.status  web.maintenance  web.serving  web.errors
    web.journal  web.front  web.auth  web.logins  web.requests  web.replies  web.context  web.proxies
    web.conditions  web.accel  web.whole_file  web.origins
    web.lookup
    services  nginx
    recovery  upkeep
    publish   backups
    versions
    trees     staging   roots   registry   database
    history   public    precompress
    work      throttle
    tally
    blocks
    archive   packing   files   paths   config   passwords   media_types   plain_pages
    model     hosts     line    gzips
    errors
"""
