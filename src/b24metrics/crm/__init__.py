"""What the portal says, typed: entities, and the questions that are answered with them.

``sales`` leads, deals, stage moves · ``clients`` contacts, companies · ``billing`` quotes, invoices, payments, product
rows · ``activities`` activities, phone calls, tasks, comments · ``people`` users, departments, absences, schedules ·
``directories`` stages, pipelines, currencies, user fields, settings · ``messages`` what we write · ``probe`` what a portal
says of itself · ``spoken`` all methods at a glance.
"""
