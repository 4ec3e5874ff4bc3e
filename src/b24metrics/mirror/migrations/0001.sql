CREATE TABLE portals (
    portal VARCHAR NOT NULL,
    host VARCHAR,
    user_id BIGINT,
    zone VARCHAR,
    base_currency VARCHAR,
    crm_mode INTEGER,
    first_synced_at TIMESTAMPTZ,
    PRIMARY KEY (portal)
);

CREATE TABLE deals (
    portal VARCHAR NOT NULL,
    id BIGINT NOT NULL,
    title VARCHAR,
    type_id VARCHAR,
    pipeline_id INTEGER,
    stage_id VARCHAR,
    semantics VARCHAR,
    opportunity DECIMAL(18,2),
    currency_id VARCHAR,
    probability INTEGER,
    assigned_by_id BIGINT,
    created_by_id BIGINT,
    modified_by_id BIGINT,
    moved_by_id BIGINT,
    created_at TIMESTAMPTZ,
    modified_at TIMESTAMPTZ,
    moved_at TIMESTAMPTZ,
    begins_on DATE,
    closes_on DATE,
    closed BOOLEAN,
    company_id BIGINT,
    contact_id BIGINT,
    lead_id BIGINT,
    quote_id BIGINT,
    source_id VARCHAR,
    webform_id BIGINT,
    is_recurring BOOLEAN,
    is_return_customer BOOLEAN,
    is_repeated_approach BOOLEAN,
    originator_id VARCHAR,
    origin_id VARCHAR,
    last_activity_at TIMESTAMPTZ,
    user_fields VARCHAR,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (portal, id)
);

CREATE TABLE leads (
    portal VARCHAR NOT NULL,
    id BIGINT NOT NULL,
    title VARCHAR,
    stage_id VARCHAR,
    semantics VARCHAR,
    opportunity DECIMAL(18,2),
    currency_id VARCHAR,
    assigned_by_id BIGINT,
    created_by_id BIGINT,
    modified_by_id BIGINT,
    moved_by_id BIGINT,
    created_at TIMESTAMPTZ,
    modified_at TIMESTAMPTZ,
    moved_at TIMESTAMPTZ,
    closed_at TIMESTAMPTZ,
    company_id BIGINT,
    contact_id BIGINT,
    source_id VARCHAR,
    webform_id BIGINT,
    is_return_customer BOOLEAN,
    originator_id VARCHAR,
    origin_id VARCHAR,
    last_activity_at TIMESTAMPTZ,
    user_fields VARCHAR,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (portal, id)
);

CREATE TABLE stage_moves (
    portal VARCHAR NOT NULL,
    entity_type_id INTEGER NOT NULL,
    id BIGINT NOT NULL,
    kind INTEGER,
    owner_id BIGINT,
    created_at TIMESTAMPTZ,
    pipeline_id INTEGER,
    stage_id VARCHAR,
    semantics VARCHAR,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (portal, entity_type_id, id)
);

CREATE TABLE activities (
    portal VARCHAR NOT NULL,
    id BIGINT NOT NULL,
    owner_type_id INTEGER,
    owner_id BIGINT,
    type_id INTEGER,
    provider_id VARCHAR,
    provider_type_id VARCHAR,
    direction INTEGER,
    completed BOOLEAN,
    status INTEGER,
    created_at TIMESTAMPTZ,
    modified_at TIMESTAMPTZ,
    starts_at TIMESTAMPTZ,
    ends_at TIMESTAMPTZ,
    deadline_at TIMESTAMPTZ,
    completed_at TIMESTAMPTZ,
    responsible_id BIGINT,
    author_id BIGINT,
    is_incoming_channel BOOLEAN,
    associated_entity_id BIGINT,
    origin_id VARCHAR,
    result_mark INTEGER,
    result_status INTEGER,
    result_stream INTEGER,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (portal, id)
);

CREATE TABLE activity_bindings (
    portal VARCHAR NOT NULL,
    activity_id BIGINT NOT NULL,
    entity_type_id INTEGER NOT NULL,
    entity_id BIGINT NOT NULL,
    PRIMARY KEY (portal, activity_id, entity_type_id, entity_id)
);

CREATE TABLE phone_calls (
    portal VARCHAR NOT NULL,
    id BIGINT NOT NULL,
    call_id VARCHAR,
    category VARCHAR,
    type_id INTEGER,
    user_id BIGINT,
    line VARCHAR,
    phone_key VARCHAR,
    duration_seconds INTEGER,
    started_at TIMESTAMPTZ,
    failed_code VARCHAR,
    vote INTEGER,
    crm_entity_type_id INTEGER,
    crm_entity_id BIGINT,
    crm_activity_id BIGINT,
    has_record BOOLEAN,
    transcript_id BIGINT,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (portal, id)
);

CREATE TABLE users (
    portal VARCHAR NOT NULL,
    id BIGINT NOT NULL,
    active BOOLEAN,
    name VARCHAR,
    last_name VARCHAR,
    position VARCHAR,
    zone VARCHAR,
    user_type VARCHAR,
    registered_at TIMESTAMPTZ,
    employed_on DATE,
    dismissed_at TIMESTAMPTZ,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (portal, id)
);

CREATE TABLE user_departments (
    portal VARCHAR NOT NULL,
    user_id BIGINT NOT NULL,
    department_id BIGINT NOT NULL,
    ordinal INTEGER,
    PRIMARY KEY (portal, user_id, department_id)
);

CREATE TABLE departments (
    portal VARCHAR NOT NULL,
    id BIGINT NOT NULL,
    name VARCHAR,
    parent_id BIGINT,
    head_id BIGINT,
    sort INTEGER,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (portal, id)
);

CREATE TABLE statuses (
    portal VARCHAR NOT NULL,
    directory VARCHAR NOT NULL,
    status_id VARCHAR NOT NULL,
    name VARCHAR,
    sort INTEGER,
    semantics VARCHAR,
    entity_type_id INTEGER,
    pipeline_id INTEGER,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (portal, directory, status_id)
);

CREATE TABLE pipelines (
    portal VARCHAR NOT NULL,
    entity_type_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    name VARCHAR,
    sort INTEGER,
    is_default BOOLEAN,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (portal, entity_type_id, id)
);

CREATE TABLE currencies (
    portal VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    rate DECIMAL(18,6),
    rate_count INTEGER,
    is_base BOOLEAN,
    name VARCHAR,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (portal, id)
);

CREATE TABLE deal_closings (
    portal VARCHAR NOT NULL,
    deal_id BIGINT NOT NULL,
    semantics VARCHAR,
    manager_id BIGINT,
    department_id BIGINT,
    opportunity DECIMAL(18,2),
    currency_id VARCHAR,
    rate DECIMAL(18,6),
    rate_count INTEGER,
    observed_at TIMESTAMPTZ,
    PRIMARY KEY (portal, deal_id)
);

CREATE TABLE absences (
    portal VARCHAR NOT NULL,
    user_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    starts_at TIMESTAMPTZ NOT NULL,
    ends_at TIMESTAMPTZ,
    PRIMARY KEY (portal, user_id, id, starts_at)
);

CREATE TABLE plans (
    portal VARCHAR NOT NULL,
    kpi_id VARCHAR NOT NULL,
    level VARCHAR NOT NULL,
    subject_id BIGINT NOT NULL,
    month DATE NOT NULL,
    amount DECIMAL(18,2),
    PRIMARY KEY (portal, kpi_id, level, subject_id, month)
);

CREATE TABLE feed_state (
    portal VARCHAR NOT NULL,
    feed VARCHAR NOT NULL,
    cursor_at TIMESTAMPTZ,
    cursor_id BIGINT,
    walk_at TIMESTAMPTZ,
    target_id BIGINT,
    backfilled_at TIMESTAMPTZ,
    synced_at TIMESTAMPTZ,
    row_count BIGINT,
    reconciled_at TIMESTAMPTZ,
    error VARCHAR,
    PRIMARY KEY (portal, feed)
);

CREATE TABLE sync_ranges (
    portal VARCHAR NOT NULL,
    feed VARCHAR NOT NULL,
    first_id BIGINT NOT NULL,
    last_id BIGINT,
    done_id BIGINT,
    expected BIGINT,
    row_count BIGINT,
    PRIMARY KEY (portal, feed, first_id)
);

CREATE TABLE sweeps (
    portal VARCHAR NOT NULL,
    feed VARCHAR NOT NULL,
    begun_at TIMESTAMPTZ,
    whole BOOLEAN,
    at_id BIGINT,
    last_id BIGINT,
    here BIGINT,
    there BIGINT,
    gone BIGINT,
    decided BOOLEAN,
    newest_at TIMESTAMPTZ,
    whole_at TIMESTAMPTZ,
    doubted_at TIMESTAMPTZ,
    doubt VARCHAR,
    buried BIGINT,
    healed BIGINT,
    PRIMARY KEY (portal, feed)
);

CREATE TABLE sweep_ranges (
    portal VARCHAR NOT NULL,
    feed VARCHAR NOT NULL,
    first_id BIGINT NOT NULL,
    last_id BIGINT,
    here BIGINT,
    there BIGINT,
    PRIMARY KEY (portal, feed, first_id)
);

CREATE TABLE unread_records (
    portal VARCHAR NOT NULL,
    feed VARCHAR NOT NULL,
    record_id VARCHAR NOT NULL,
    reason VARCHAR,
    seen_at TIMESTAMPTZ,
    PRIMARY KEY (portal, feed, record_id)
);

CREATE TABLE owed (
    portal VARCHAR NOT NULL,
    feed VARCHAR NOT NULL,
    owner_id BIGINT NOT NULL,
    times INTEGER,
    PRIMARY KEY (portal, feed, owner_id)
);

CREATE TABLE leases (
    portal VARCHAR NOT NULL,
    holder VARCHAR,
    renewed_at TIMESTAMPTZ,
    until TIMESTAMPTZ,
    PRIMARY KEY (portal)
);

CREATE TABLE quotes (
    portal VARCHAR NOT NULL,
    id BIGINT NOT NULL,
    title VARCHAR,
    stage_id VARCHAR,
    opportunity DECIMAL(18,2),
    currency_id VARCHAR,
    assigned_by_id BIGINT,
    created_by_id BIGINT,
    modified_by_id BIGINT,
    created_at TIMESTAMPTZ,
    modified_at TIMESTAMPTZ,
    begins_on DATE,
    closes_on DATE,
    closed BOOLEAN,
    lead_id BIGINT,
    deal_id BIGINT,
    company_id BIGINT,
    contact_id BIGINT,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (portal, id)
);

CREATE TABLE invoices (
    portal VARCHAR NOT NULL,
    id BIGINT NOT NULL,
    title VARCHAR,
    pipeline_id INTEGER,
    stage_id VARCHAR,
    opportunity DECIMAL(18,2),
    currency_id VARCHAR,
    assigned_by_id BIGINT,
    created_by_id BIGINT,
    modified_by_id BIGINT,
    moved_by_id BIGINT,
    created_at TIMESTAMPTZ,
    modified_at TIMESTAMPTZ,
    moved_at TIMESTAMPTZ,
    begins_on DATE,
    due_on DATE,
    deal_id BIGINT,
    quote_id BIGINT,
    company_id BIGINT,
    contact_id BIGINT,
    user_fields VARCHAR,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (portal, id)
);

CREATE TABLE payments (
    portal VARCHAR NOT NULL,
    id BIGINT NOT NULL,
    owner_type_id INTEGER,
    owner_id BIGINT,
    paid BOOLEAN,
    paid_at TIMESTAMPTZ,
    amount DECIMAL(18,2),
    currency_id VARCHAR,
    rate DECIMAL(18,6),
    rate_count INTEGER,
    PRIMARY KEY (portal, id)
);

CREATE TABLE product_rows (
    portal VARCHAR NOT NULL,
    owner_type_id INTEGER NOT NULL,
    owner_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    product_id BIGINT,
    product_name VARCHAR,
    quantity DECIMAL(18,4),
    price DECIMAL(18,4),
    measure_code INTEGER,
    PRIMARY KEY (portal, owner_type_id, owner_id, id)
);

CREATE TABLE contacts (
    portal VARCHAR NOT NULL,
    id BIGINT NOT NULL,
    name VARCHAR,
    last_name VARCHAR,
    type_id VARCHAR,
    assigned_by_id BIGINT,
    created_by_id BIGINT,
    created_at TIMESTAMPTZ,
    modified_at TIMESTAMPTZ,
    source_id VARCHAR,
    company_id BIGINT,
    lead_id BIGINT,
    originator_id VARCHAR,
    origin_id VARCHAR,
    has_phone BOOLEAN,
    has_email BOOLEAN,
    has_messenger BOOLEAN,
    phone_in_comment BOOLEAN,
    user_fields VARCHAR,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (portal, id)
);

CREATE TABLE companies (
    portal VARCHAR NOT NULL,
    id BIGINT NOT NULL,
    title VARCHAR,
    type_id VARCHAR,
    industry VARCHAR,
    assigned_by_id BIGINT,
    created_by_id BIGINT,
    created_at TIMESTAMPTZ,
    modified_at TIMESTAMPTZ,
    lead_id BIGINT,
    is_my_company BOOLEAN,
    originator_id VARCHAR,
    origin_id VARCHAR,
    has_phone BOOLEAN,
    has_email BOOLEAN,
    user_fields VARCHAR,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (portal, id)
);

CREATE TABLE client_keys (
    portal VARCHAR NOT NULL,
    entity_type_id INTEGER NOT NULL,
    entity_id BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    PRIMARY KEY (portal, entity_type_id, entity_id, kind, key)
);

CREATE TABLE tasks (
    portal VARCHAR NOT NULL,
    id BIGINT NOT NULL,
    title VARCHAR,
    status INTEGER,
    created_by_id BIGINT,
    responsible_id BIGINT,
    created_at TIMESTAMPTZ,
    modified_at TIMESTAMPTZ,
    closed_at TIMESTAMPTZ,
    deadline_at TIMESTAMPTZ,
    good BOOLEAN,
    group_id BIGINT,
    parent_id BIGINT,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (portal, id)
);

CREATE TABLE schedules (
    portal VARCHAR NOT NULL,
    id BIGINT NOT NULL,
    name VARCHAR,
    spec VARCHAR,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (portal, id)
);

CREATE TABLE assignments (
    portal VARCHAR NOT NULL,
    entity_type_id INTEGER NOT NULL,
    entity_id BIGINT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL,
    from_id BIGINT,
    to_id BIGINT,
    observed_at TIMESTAMPTZ,
    PRIMARY KEY (portal, entity_type_id, entity_id, changed_at)
);

CREATE TABLE deal_changes (
    portal VARCHAR NOT NULL,
    deal_id BIGINT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL,
    from_opportunity DECIMAL(18,2),
    to_opportunity DECIMAL(18,2),
    from_currency_id VARCHAR,
    to_currency_id VARCHAR,
    from_closes_on DATE,
    to_closes_on DATE,
    observed_at TIMESTAMPTZ,
    PRIMARY KEY (portal, deal_id, changed_at)
);

CREATE TABLE quote_moves (
    portal VARCHAR NOT NULL,
    quote_id BIGINT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL,
    from_stage_id VARCHAR,
    to_stage_id VARCHAR,
    observed_at TIMESTAMPTZ,
    PRIMARY KEY (portal, quote_id, changed_at)
);

CREATE TABLE department_changes (
    portal VARCHAR NOT NULL,
    user_id BIGINT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL,
    from_id BIGINT,
    to_id BIGINT,
    PRIMARY KEY (portal, user_id, changed_at)
);

CREATE TABLE rates (
    portal VARCHAR NOT NULL,
    currency_id VARCHAR NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL,
    rate DECIMAL(18,6),
    rate_count INTEGER,
    PRIMARY KEY (portal, currency_id, seen_at)
);

CREATE TABLE frozen_values (
    portal VARCHAR NOT NULL,
    kpi_id VARCHAR NOT NULL,
    level VARCHAR NOT NULL,
    subject_id BIGINT NOT NULL,
    month DATE NOT NULL,
    value DOUBLE PRECISION,
    frozen_at TIMESTAMPTZ,
    PRIMARY KEY (portal, kpi_id, level, subject_id, month)
);

CREATE TABLE inputs (
    portal VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    level VARCHAR NOT NULL,
    subject_id BIGINT NOT NULL,
    starts_on DATE NOT NULL,
    label VARCHAR NOT NULL,
    amount DECIMAL(18,4),
    PRIMARY KEY (portal, kind, level, subject_id, starts_on, label)
);
